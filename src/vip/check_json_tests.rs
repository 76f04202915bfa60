//! What is read and written, and what is refused.

use super::*;

#[test]
fn a_check_is_written_as_it_was_read() {
    for (text, shown) in [
        (r#"{"type":"TCP","host":"127.0.0.1","port":80}"#, "TCP 127.0.0.1:80"),
        (
            r#"{"type":"TCP","host":"::1","port":1,"rise":2,"fall":100}"#,
            "TCP [::1]:1 rise 2 fall 100",
        ),
        (r#"{"type":"LINK","interface":"eth1"}"#, "LINK eth1"),
        (r#"{"type":"HTTP","url":"http://db/up"}"#, "HTTP http://db/up"),
        (r#"{"type":"HTTP","url":"http://db:8/","status":204}"#, "HTTP http://db:8/ status 204"),
        (
            r#"{"type":"HTTP","url":"http://db/","status":"200-399","fall":1}"#,
            "HTTP http://db/ status 200-399 fall 1",
        ),
        (r#"{"type":"HTTP","url":"https://db/","verify":false}"#, "HTTP https://db/ verify false"),
        (r#"{"type":"HTTP","url":"https://db/","cacert":"/a"}"#, "HTTP https://db/ cacert /a"),
        (r#"{"type":"EXEC","command":"check.sh"}"#, "EXEC check.sh"),
        (r#"{"type":"EXEC","command":"c","args":["-a","b c"]}"#, "EXEC c -a b c"),
    ] {
        let check: Check = serde_json::from_str(text).expect(text);
        assert_eq!(serde_json::to_string(&check).expect("JSON"), text);
        assert_eq!(check.to_string(), shown);
    }
}

fn check_faults(all: &[(&str, &[&str])]) {
    for (text, faults) in all {
        let object: Map<String, Value> = serde_json::from_str(text).expect(text);
        let found: Vec<String> = check_of(&object).1.iter().map(Fault::to_string).collect();
        assert_eq!(found, *faults, "{text}");
    }
}

#[test]
fn each_fault_is_named_with_its_value() {
    check_faults(&[
        (r#"{}"#, &["type is missing"]),
        (r#"{"type":5}"#, &["type is not a string"]),
        (r#"{"type":"UDP"}"#, &["type UDP is unknown, only TCP, LINK, HTTP and EXEC are known"]),
        (r#"{"type":"TCP"}"#, &["host is missing", "port is missing"]),
        (
            r#"{"type":"TCP","host":"a b","port":65536,"rise":0,"fall":101}"#,
            &[
                "host a b is not an address or a name",
                "port 65536 is not in 1-65535",
                "rise 0 is not in 1-100",
                "fall 101 is not in 1-100",
            ],
        ),
        (r#"{"type":"TCP","host":"a","port":1,"rise":"2"}"#, &["rise is not an integer"]),
        (
            r#"{"type":"LINK","interface":"a/b"}"#,
            &[
                "interface a/b is not the name of an interface (1 to 15 bytes, no '/', ':' or white space)",
            ],
        ),
    ]);
}

#[test]
fn each_fault_of_a_url_and_of_a_command_is_named_with_its_value() {
    check_faults(&[
        (
            r#"{"type":"HTTP","url":"ftp://a/"}"#,
            &["url ftp://a/ has a scheme that is neither http nor https"],
        ),
        (
            r#"{"type":"HTTP","url":"http://a/","status":99}"#,
            &["status 99 is not a status (200) or a range (200-399) in 100-599"],
        ),
        (
            r#"{"type":"HTTP","url":"http://a/","status":[]}"#,
            &["status is not a number or a range"],
        ),
        (
            r#"{"type":"EXEC","command":"../x"}"#,
            &["command ../x is not the bare name of a command (letters, digits, '-', '_' and '.')"],
        ),
        (
            r#"{"type":"EXEC","command":".x"}"#,
            &["command .x is not the name of a command: it begins with '.' or '-'"],
        ),
        (r#"{"type":"HTTP","url":"https://a/","verify":"no"}"#, &["verify is not true or false"]),
        (
            r#"{"type":"HTTP","url":"http://a/","verify":true}"#,
            &["verify true is for https:// only"],
        ),
        (r#"{"type":"HTTP","url":"http://a/","cacert":"/a"}"#, &["cacert /a is for https:// only"]),
        (
            r#"{"type":"HTTP","url":"https://a/","cacert":"a"}"#,
            &["cacert a is not an absolute path"],
        ),
        (
            r#"{"type":"HTTP","url":"https://a/","verify":false,"cacert":"/a"}"#,
            &["cacert /a is not used: verify is false"],
        ),
        (r#"{"type":"EXEC","command":"x","args":"-v"}"#, &["args is not an array"]),
        (r#"{"type":"EXEC","command":"x","args":[1]}"#, &["args is not an array of strings"]),
    ]);
}

#[test]
fn what_was_accepted_once_is_read_though_it_has_a_fault() {
    let text = r#"{"type":"TCP","host":"a b","port":80,"rise":0,"new":1}"#;
    let check: Check = serde_json::from_str(text).expect("it says what is to be tried");
    assert_eq!(check, Check::tcp("a b", 80));
    let error = serde_json::from_str::<Check>(r#"{"type":"UDP"}"#).expect_err("no kind");
    assert!(error.to_string().contains("type UDP is unknown"), "{error}");
}
