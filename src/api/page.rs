//! The page for people: one file that fetches nothing but the answers of the agent that served it.
//!
//! What others have named is shown in it: hosts, keys, clients. The page makes text of that and never markup
//! (`page.html`), and its policy has the browser refuse every script and style but the page's own, every
//! request to another server, every frame around it, and strings that would become markup.

use super::reply::Reply;

const PAGE: &str = include_str!("page.html");

/// The hashes are those of the page's script and style; a test compares them.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data:; \
     script-src 'sha256-1MBXt76duZFUsP9GMGAx322kTBddxoaxzcImuCUxa5A='; \
     style-src 'sha256-EPwcm7srjS+tuqxcbMM+xTVKgkoPWRKaMDQifgAu44w='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// The answer to `GET /`.
pub(crate) fn page() -> Reply {
    let fields = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        // What the page asks for names it as its origin; nobody else is told where it was.
        ("Referrer-Policy", "same-origin"),
        // The next version of the agent has another one.
        ("Cache-Control", "no-store"),
    ];
    let headers = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Reply { status: 200, headers, body: PAGE.as_bytes().to_vec() }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::digest::{SHA256, digest};

    use super::*;

    /// How a policy names the only element of that kind.
    fn source(element: &str) -> String {
        let (start, end) = (format!("<{element}"), format!("</{element}>"));
        assert_eq!(PAGE.matches(&start).count(), 1, "more than one {element}, or none");
        let (_, rest) = PAGE.split_once(&start).unwrap();
        let (text, _) = rest.split_once('>').unwrap().1.split_once(&end).unwrap();
        format!("{element}-src 'sha256-{}';", STANDARD.encode(digest(&SHA256, text.as_bytes())))
    }

    #[test]
    fn the_policy_names_the_script_and_the_style_of_the_page() {
        for source in ["script", "style"].map(source) {
            assert!(POLICY.contains(&source), "the policy of the page needs {source}");
        }
    }

    #[test]
    fn the_page_is_small_names_nobody_else_and_makes_no_markup() {
        assert!(PAGE.len() <= 25 << 10, "{} bytes", PAGE.len());
        // The name of a language, not an address.
        let page = PAGE.replace("http://www.w3.org/2000/svg", "");
        for word in
            ["http:", "https:", "url(", "@import", "innerHTML", "outerHTML", "insertAdjacent"]
        {
            assert!(!page.contains(word), "{word}");
        }
    }
}
