//! The OpenAPI description is true: schemathesis asks all that it describes, and much that it does not.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::client::{get, play_on, server_with_a_stream};

/// What of a value is not as a schema says, where one describes an object of plain members.
pub fn unlike(schema: &Value, value: &Value) -> Vec<String> {
    let properties = schema["properties"].as_object().unwrap();
    let members = value.as_object().unwrap();
    let required = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str);
    let missing = required.filter(|name| !members.contains_key(*name));
    let mut wrong: Vec<String> = missing.map(|name| format!("{name} is missing")).collect();
    for (name, member) in members {
        let Some(schema) = properties.get(name) else {
            wrong.push(format!("{name} is not described"));
            continue;
        };
        let is_one = match schema["type"].as_str() {
            Some("string") => member.is_string(),
            Some("integer") => member.is_u64(),
            Some("boolean") => member.is_boolean(),
            Some("array") => member.is_array(),
            Some("object") => {
                wrong.extend(unlike(schema, member).iter().map(|why| format!("{name}: {why}")));
                true
            }
            _ => false,
        };
        let is_known = schema["enum"].as_array().is_none_or(|known| known.contains(member));
        if !is_one || !is_known {
            wrong.push(format!("{name} is {member}"));
        }
    }
    wrong
}

#[test]
fn answers_are_as_described() {
    let server = server_with_a_stream("");
    let players: Vec<_> = (0..3).map(|_| play_on(&server)).collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("api");
    let program = here.join("python/bin/schemathesis");
    assert!(program.exists(), "schemathesis is not there; tests/run installs it");
    let folder = std::env::temp_dir().join(format!("weir-schemathesis-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new(program)
        // It keeps notes where it is started.
        .current_dir(&folder)
        .arg("--config-file")
        .arg(here.join("schemathesis.toml"))
        .arg("run")
        .arg(format!("http://{}/api/v1/openapi.json", server.http))
        // Events have no end, and a publisher that is gone leaves nothing to look at.
        .args(["--exclude-path", "/api/v1/events"])
        .args(["--exclude-operation-id", "kick-the-publisher-of-a-stream"])
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "60", "--seed", "7"])
        .args(["--request-timeout", "10", "--no-color"])
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    drop(server);
    players.into_iter().for_each(|player| player.join().unwrap());
}

#[test]
fn each_path_is_described() {
    let server = server_with_a_stream("");
    let described = get(&server, "/api/v1/openapi.json");
    assert_eq!(described["openapi"], "3.1.0");
    for (path, item) in described["paths"].as_object().unwrap() {
        assert!(item["get"]["responses"]["200"].is_object(), "{path}");
    }
    let document = include_str!("../../docs/api.md");
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    for path in paths {
        let path = path
            .replace("{app}/{name}", "APP/NAME")
            .replace("{id}", "ID")
            .replace("{node}", "NODE");
        assert!(document.contains(&path), "{path} is not in docs/api.md");
    }
    let _: &Value = &described["components"]["schemas"]["Error"]["properties"]["field"];
    let config = &get(&server, "/api/v1/config")["config"];
    let wrong = unlike(&described["components"]["schemas"]["Config"], config);
    assert!(wrong.is_empty(), "{wrong:?} in {config}");
    assert_eq!(config["command_line"]["demo"], true);
}
