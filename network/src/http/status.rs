//! Status codes, their reason phrases, and the error that carries one.

use std::fmt;

/// A three-digit status code, 100 to 999.
///
/// Codes without a constant here pass through unchanged; their class (the first
/// digit) is what a reader acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(u16);

macro_rules! statuses {
    ($($name:ident = $code:literal, $reason:literal;)*) => {
        impl StatusCode {
            $(
                #[doc = concat!(stringify!($code), " ", $reason, ".")]
                pub const $name: StatusCode = StatusCode($code);
            )*

            /// The phrase beside the code in a status line; empty for a code without a constant.
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }
        }
    };
}

statuses! {
    CONTINUE = 100, "Continue";
    SWITCHING_PROTOCOLS = 101, "Switching Protocols";
    OK = 200, "OK";
    CREATED = 201, "Created";
    ACCEPTED = 202, "Accepted";
    NO_CONTENT = 204, "No Content";
    RESET_CONTENT = 205, "Reset Content";
    PARTIAL_CONTENT = 206, "Partial Content";
    MOVED_PERMANENTLY = 301, "Moved Permanently";
    FOUND = 302, "Found";
    SEE_OTHER = 303, "See Other";
    NOT_MODIFIED = 304, "Not Modified";
    TEMPORARY_REDIRECT = 307, "Temporary Redirect";
    PERMANENT_REDIRECT = 308, "Permanent Redirect";
    BAD_REQUEST = 400, "Bad Request";
    UNAUTHORIZED = 401, "Unauthorized";
    FORBIDDEN = 403, "Forbidden";
    NOT_FOUND = 404, "Not Found";
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed";
    NOT_ACCEPTABLE = 406, "Not Acceptable";
    REQUEST_TIMEOUT = 408, "Request Timeout";
    CONFLICT = 409, "Conflict";
    GONE = 410, "Gone";
    LENGTH_REQUIRED = 411, "Length Required";
    PRECONDITION_FAILED = 412, "Precondition Failed";
    CONTENT_TOO_LARGE = 413, "Content Too Large";
    URI_TOO_LONG = 414, "URI Too Long";
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported Media Type";
    RANGE_NOT_SATISFIABLE = 416, "Range Not Satisfiable";
    EXPECTATION_FAILED = 417, "Expectation Failed";
    MISDIRECTED_REQUEST = 421, "Misdirected Request";
    UPGRADE_REQUIRED = 426, "Upgrade Required";
    TOO_MANY_REQUESTS = 429, "Too Many Requests";
    HEADER_FIELDS_TOO_LARGE = 431, "Request Header Fields Too Large";
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error";
    NOT_IMPLEMENTED = 501, "Not Implemented";
    BAD_GATEWAY = 502, "Bad Gateway";
    SERVICE_UNAVAILABLE = 503, "Service Unavailable";
    GATEWAY_TIMEOUT = 504, "Gateway Timeout";
    VERSION_NOT_SUPPORTED = 505, "HTTP Version Not Supported";
}

impl StatusCode {
    /// A code from a number; `None` outside 100 to 999.
    pub const fn new(code: u16) -> Option<StatusCode> {
        if code >= 100 && code <= 999 { Some(StatusCode(code)) } else { None }
    }

    /// The code as a number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// The code as the three bytes of a status line.
    pub const fn digits(self) -> [u8; 3] {
        [b'0' + (self.0 / 100) as u8, b'0' + (self.0 / 10 % 10) as u8, b'0' + (self.0 % 10) as u8]
    }

    /// 1xx: an interim answer, the final one follows on the same connection.
    pub const fn is_informational(self) -> bool {
        self.0 / 100 == 1
    }

    /// 2xx.
    pub const fn is_success(self) -> bool {
        self.0 / 100 == 2
    }

    /// 3xx.
    pub const fn is_redirection(self) -> bool {
        self.0 / 100 == 3
    }

    /// 4xx: whoever asked is at fault.
    pub const fn is_client_error(self) -> bool {
        self.0 / 100 == 4
    }

    /// 5xx: whoever answered is at fault.
    pub const fn is_server_error(self) -> bool {
        self.0 / 100 == 5
    }

    /// True for the answers that never have a body, whatever their headers say: 1xx, 204 and 304.
    pub const fn is_bodiless(self) -> bool {
        self.is_informational() || self.0 == 204 || self.0 == 304
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => write!(f, "{}", self.0),
            reason => write!(f, "{} {reason}", self.0),
        }
    }
}

/// What a peer did wrong, and the status that answers it.
///
/// After one of these the position of the next message in the byte stream is no
/// longer certain: a server answers with the status and closes, a client closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("peer at fault: {reason} ({status})")]
pub struct HttpError {
    /// The answer a server gives; on a response read by a client, what a gateway passes on (502).
    pub status: StatusCode,
    /// A sentence for the log and for the body of the answer: what was wrong, what was expected.
    pub reason: &'static str,
}

impl HttpError {
    /// An error with this status and sentence.
    pub const fn new(status: StatusCode, reason: &'static str) -> HttpError {
        HttpError { status, reason }
    }

    /// 400 with this sentence.
    pub const fn bad_request(reason: &'static str) -> HttpError {
        HttpError::new(StatusCode::BAD_REQUEST, reason)
    }

    /// The same sentence, said of a response: the status becomes 502.
    pub const fn in_response(self) -> HttpError {
        HttpError::new(StatusCode::BAD_GATEWAY, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_digits_and_reason() {
        assert_eq!(StatusCode::OK.digits(), *b"200");
        assert_eq!(StatusCode::HEADER_FIELDS_TOO_LARGE.digits(), *b"431");
        assert_eq!(StatusCode::NOT_FOUND.to_string(), "404 Not Found");
        assert_eq!(StatusCode::new(299).map(StatusCode::reason), Some(""));
        assert_eq!(StatusCode::new(99), None);
        assert_eq!(StatusCode::new(1000), None);
    }

    #[test]
    fn bodiless_codes() {
        for code in 100..=999 {
            let Some(status) = StatusCode::new(code) else {
                continue;
            };
            let expected = code < 200 || code == 204 || code == 304;
            assert_eq!(status.is_bodiless(), expected, "{code}");
        }
    }

    #[test]
    fn errors_name_the_fault_and_the_status() {
        let error = HttpError::bad_request("bare LF in the head");
        assert_eq!(error.to_string(), "peer at fault: bare LF in the head (400 Bad Request)");
        assert_eq!(error.in_response().status, StatusCode::BAD_GATEWAY);
    }
}
