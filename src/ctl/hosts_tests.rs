//! The file as it should be, and each mistake with its line.

use super::*;

fn parsed(text: &str) -> Result<(Hosts, Option<usize>), (usize, String)> {
    parse(text, Path::new("/c/link"), Some(Path::new("/home/a")))
}

#[test]
fn a_section_for_each_host_says_where_it_is_and_for_whom() {
    let (hosts, password_at) = parsed(
        "# those of the first rack\n[h1]\nurl = https://10.0.0.11:443\n user=admin\n\
         password-file = ~/h1 #1\ncacert = ca.pem\n\n[default]\nurl=h2\npassword = a = \"b\" \n; end",
    )
    .unwrap();
    assert_eq!(password_at, Some(10));
    let server: Server = "https://10.0.0.11:443".parse().unwrap();
    let h1 = Named {
        server: server.trusting("/c/link/ca.pem".into()).unwrap(),
        user: Some("admin".to_owned()),
        password: None,
        password_file: Some("/home/a/h1 #1".into()),
    };
    assert_eq!(hosts["h1"], h1);
    let default = &hosts[DEFAULT];
    assert_eq!(default.server.to_string(), "h2:1313");
    assert_eq!(default.password.as_deref(), Some("a = \"b\""));
    assert_eq!(parsed("").unwrap(), (Hosts::new(), None));
}

#[test]
fn a_mistake_is_told_with_its_line() {
    for (text, line, word) in [
        ("url = h1", 1, "before the first section"),
        ("[h1]\n\nhello", 3, "KEY = VALUE"),
        ("[h1", 1, "closing ]"),
        ("[]", 1, "no name"),
        ("[a b]", 1, "no name"),
        ("[h1]\nuser = a", 1, "[h1] has no url"),
        ("[h1]\nurl = h1\n[h1]", 3, "already"),
        ("[h1]\nurl = ftp://h1", 2, "https://"),
        ("[h1]\nurl = h1\nurl = h2", 3, "twice"),
        ("[h1]\nurl = \"h1\"", 2, "without quotes"),
        ("[h1]\nurl =", 2, "no value"),
        ("[h1]\nUrl = h1", 2, "\"Url\" is not known"),
        ("[h1]\nurl = h1\ncacert = /ca.pem", 3, "https://"),
        ("[h1]\nurl = h1\npassword = a\npassword-file = b", 1, "both"),
    ] {
        let (at, why) = parsed(text).unwrap_err();
        assert!(at == line && why.contains(word), "{text:?}: line {at}: {why}");
    }
}

#[test]
fn whatever_stands_in_it_ends_no_process() {
    for text in ["[", "]", "=", "[\u{0}]", "[a]\n=\n", "[a]\nurl=[::1", "\r[a]\r\nurl=h1\r\n"] {
        let _ = parsed(text);
    }
}
