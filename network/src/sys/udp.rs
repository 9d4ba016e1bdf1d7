//! Datagram system calls.
