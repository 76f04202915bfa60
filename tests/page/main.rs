//! The page in a real browser, with real agents: it shows what happens without being loaded again, changes what
//! it is asked to change, and makes text of whatever others have written.
//!
//! It is a target of its own because nothing else needs a browser. `LINK_PAGE_PICTURES=FOLDER` keeps pictures of
//! what it looks like: wide, on a phone, dark.

#[cfg(test)]
mod browser;
#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "the scenarios use the rest of the lab")]
#[path = "../lab/harness/mod.rs"]
mod harness;

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::path::PathBuf;

    use link::wire::Drain;
    use serde_json::{Value, json};

    use crate::browser::{Browser, Tab};
    use crate::harness::*;

    const H1_PAGE: &str = "http://10.0.0.11:1313/";
    const H3_PAGE: &str = "http://10.0.0.13:1313/";
    const PASSWORD: &str = "s3cret";

    /// 15 s: a machine that is busy with a browser loses no lease.
    const SLOW_LEASE: (&str, &str) = ("KEEPALIVE_INTERVAL", "3s");

    /// Written into etcd, and sent by a client of the API.
    const HOSTILE: &str = "<img src=x onerror=window.hacked=1>";

    /// The row of the IP, and the part of it that shows the owner.
    const ROW: &str = "document.querySelector('#ips tbody tr')";
    const FOCUSED: &str = "document.activeElement.outerHTML.slice(0, 60)";

    /// Three hosts, of which the first owns the IP and the third has a password, and a browser beside them.
    struct Stage {
        lab: Lab,
        browser: Browser,
        first: Tab,
        third: Tab,
    }

    impl Stage {
        fn set() -> Stage {
            let mut lab = Lab::new(3);
            for host in [H1, H2] {
                lab[host].start_with(&[SLOW_LEASE, ("LISTEN", "0.0.0.0")]);
            }
            lab[H3].start_with(&[SLOW_LEASE, ("PASSWORD", PASSWORD), ("USER", "admin")]);
            lab[H1].api().add(VIP);
            assert_eq!(lab.await_owner(VIP), H1);
            lab[H2].api().add(VIP);
            lab[H3].api().with_credentials("admin", PASSWORD).add(VIP);
            let mut browser = Browser::start(lab.client.namespace(), lab.folder());
            let first = browser.open(H1_PAGE);
            let third = browser.open("about:blank");
            browser.navigate_as(&third, H3_PAGE, "admin", PASSWORD);
            let mut stage = Stage { lab, browser, first, third };
            for tab in stage.tabs() {
                stage.browser.await_true(&tab, "document.body?.innerText.includes('All is well')");
                stage.browser.js(&tab, "window.loaded = 'once'");
            }
            stage
        }

        fn tabs(&self) -> [Tab; 2] {
            [self.first.clone(), self.third.clone()]
        }

        /// Both pages show this, and were not loaded again.
        #[track_caller]
        fn await_shown(&mut self, expression: &str) {
            for tab in self.tabs() {
                self.browser.await_true(&tab, expression);
                assert_eq!(self.browser.js(&tab, "window.loaded"), "once");
            }
        }

        fn js(&mut self, expression: &str) -> Value {
            let tab = self.first.clone();
            self.browser.js(&tab, expression)
        }

        fn press(&mut self, keys: &[&str]) {
            let tab = self.first.clone();
            keys.iter().for_each(|key| self.browser.press(&tab, key));
        }

        #[track_caller]
        fn await_focus(&mut self, part: &str) {
            let tab = self.first.clone();
            let focused = format!("{FOCUSED}.includes({})", json!(part));
            self.browser.await_true(&tab, &focused);
        }

        /// Looks at the page as different people see it, and keeps pictures if they are wanted.
        fn look(&mut self, what: &str) {
            let folder = std::env::var_os("LINK_PAGE_PICTURES").map(PathBuf::from);
            let tab = self.first.clone();
            for (width, scheme) in [(1280, "light"), (360, "light"), (1280, "dark"), (360, "dark")]
            {
                self.browser.show_as(&tab, width, scheme);
                let wrong = self.browser.js(&tab, include_str!("audit.js"));
                assert_eq!(wrong, json!([]), "{what}, {width} wide, {scheme}");
                if let Some(folder) = &folder {
                    let file = folder.join(format!("{what}-{width}-{scheme}.png"));
                    self.browser.save_picture(&tab, &file);
                }
            }
        }

        /// Asks to hand the IP to the second host, with the keyboard alone; the last word is left to be said.
        fn ask_to_hand_over(&mut self) {
            let is_there = format!("{FOCUSED}.includes('Hand over')");
            let found = (0..10).any(|_| {
                let found = self.js(&is_there) == true;
                if !found {
                    self.press(&["Tab"]);
                }
                found
            });
            assert!(found, "no way leads to the button");
            self.press(&["Enter"]);
            self.await_focus("id=\"no\"");
            self.press(&["Shift+Tab", "ArrowDown", "Tab", "Tab"]);
            assert_eq!(self.js("document.querySelector('#ask select').value"), "h2");
            self.await_focus("id=\"yes\"");
        }
    }

    #[test]
    fn people_see_what_happens_and_change_it_and_nobody_else_does() {
        let mut stage = Stage::set();
        stage.look("calm");
        a_screen_reader_finds_tables_also_on_a_phone(&mut stage);
        a_question_can_be_left_and_a_refusal_is_told(&mut stage);
        a_failover_by_keyboard_is_shown_to_all(&mut stage);
        a_host_is_drained_and_undrained(&mut stage);
        a_problem_of_an_ip_is_shown_in_its_line(&mut stage);
        a_dead_host_is_shown(&mut stage);
        what_others_wrote_is_text(&mut stage);
        an_ip_of_a_group_is_shown_with_it(&mut stage);
        stage.look("conflict");
        the_pages_have_asked_nobody_but_their_agents(&mut stage);
        nothing_becomes_markup_or_asks_elsewhere(&mut stage);
        a_foreign_page_changes_nothing(&mut stage);
        an_agent_that_is_gone_for_a_while_is_told(&mut stage);
    }

    fn a_screen_reader_finds_tables_also_on_a_phone(stage: &mut Stage) {
        let tab = stage.first.clone();
        stage.browser.show_as(&tab, 360, "light");
        let roles = stage.browser.roles(&tab);
        let count = |role: &str| roles.iter().filter(|found| *found == role).count();
        let expected = [("table", 2), ("columnheader", 10), ("rowheader", 4), ("cell", 16)];
        for (role, expected) in expected.into_iter().chain([("main", 1), ("banner", 1)]) {
            assert_eq!(count(role), expected, "{role} in {roles:?}");
        }
        stage.browser.show_as(&tab, 1280, "light");
        let focus = "(({outlineStyle, outlineWidth}) => outlineStyle + outlineWidth)(getComputedStyle(document.activeElement))";
        for _ in 0..2 {
            stage.press(&["Tab"]);
            assert_eq!(stage.js(focus), "solid3px", "{}", stage.js(FOCUSED));
        }
    }

    fn a_question_can_be_left_and_a_refusal_is_told(stage: &mut Stage) {
        stage.ask_to_hand_over();
        stage.press(&["Escape"]);
        stage.await_focus("Hand over");
        assert_eq!(stage.lab.owner(VIP), Some(H1));
        stage.ask_to_hand_over();
        stage.lab[H1].api().failover_to(VIP, "h2").expect(204);
        assert_eq!(stage.lab.await_owner_other_than(H1, VIP), H2);
        stage.press(&["Enter"]);
        let tab = stage.first.clone();
        let refusal = "document.querySelector('#refusal').textContent.includes('is not the owner')";
        stage.browser.await_true(&tab, refusal);
        stage.look("refused");
        stage.press(&["Escape"]);
        stage.lab[H2].api().failover_to(VIP, "h1").expect(204);
        stage.await_shown(&format!("{ROW}.cells[2].innerText.includes('h1')"));
        stage.await_shown(&format!("{ROW}.cells[3].innerText.includes('h2 ready')"));
    }

    fn a_failover_by_keyboard_is_shown_to_all(stage: &mut Stage) {
        stage.browser.show_as(&stage.first.clone(), 1280, "light");
        stage.ask_to_hand_over();
        // So that there is time to look.
        stage.lab[H1].agent().freeze();
        stage.press(&["Enter"]);
        let tab = stage.first.clone();
        stage.browser.await_true(&tab, "document.querySelector('#yes').ariaDisabled === 'true'");
        stage.look("under-way");
        stage.lab[H1].agent().thaw();
        assert_eq!(stage.lab.await_owner_other_than(H1, VIP), H2);
        stage.await_shown(&format!("{ROW}.cells[2].innerText.trim() === 'h2'"));
        stage.await_shown("document.querySelector('#events').innerText.includes('owner h1 -> h2')");
        stage.await_shown("document.querySelector('#news').textContent.includes('owner h1 -> h2')");
        let label = format!("{ROW}.querySelector('svg').getAttribute('aria-label')");
        stage.await_shown(&format!("/h1 from .* until .*, h2 from .* until now/.test({label})"));
        stage.await_focus("h-ips");
    }

    fn an_ip_of_a_group_is_shown_with_it(stage: &mut Stage) {
        stage.lab.etcd.put("/link/default/10.0.9.9_32", "group:gw");
        let shown = "in group gw, not offered here";
        stage.await_shown(&format!("document.querySelector('#ips').innerText.includes('{shown}')"));
    }

    fn a_host_is_drained_and_undrained(stage: &mut Stage) {
        let drained = |stage: &Stage| stage.lab[H1].api().get("/drain").read::<Drain>();
        let answer = "document.querySelector('#drain').click(); \
            document.querySelector('#ask select')?.options.length && (document.querySelector('#ask select').value = '1800'); \
            document.querySelector('#yes').click()";
        stage.js(answer);
        stage.await_shown("document.querySelector('#hosts').innerText.includes('drained')");
        stage.await_shown(&format!("{ROW}.innerText.includes('h1 drained')"));
        assert!(drained(stage).seconds_left.is_some_and(|left| left > 1700));
        stage.js(answer);
        stage.await_shown("!document.querySelector('#hosts').innerText.includes('drained')");
        assert!(!drained(stage).drained);
    }

    fn a_dead_host_is_shown(stage: &mut Stage) {
        stage.lab.power_off(H2);
        let owner = stage.lab.await_owner_other_than(H2, VIP);
        stage.await_shown(&format!("{ROW}.cells[2].innerText.trim().startsWith('{owner}')"));
        stage.await_shown("/h2\\s+✖ gone/.test(document.querySelector('#hosts').innerText)");
        stage.await_shown(
            "document.querySelector('#findings').innerText.includes('the host is gone')",
        );
        stage.await_shown(
            "[...document.querySelectorAll('#findings li')].some(it => it.innerText.includes('the host is gone') \
             && it.querySelector('p').innerText.startsWith('start its agent'))",
        );
        stage.await_shown("!document.body?.innerText.includes('All is well')");
    }

    /// What the asked host has against an IP stands in the line of the IP, and what to do among the findings.
    fn a_problem_of_an_ip_is_shown_in_its_line(stage: &mut Stage) {
        let (tab, other) = (stage.first.clone(), stage.lab[H3].api());
        let other = other.with_credentials("admin", PASSWORD);
        stage.lab[H2].api().add(VIP2);
        other.add(VIP2);
        let ip = json!({ "ip": VIP2.to_string(), "interface": "nosuch0" });
        stage.lab[H1].api().create(&ip);
        let state = "[...document.querySelectorAll('#ips tbody tr')] \
             .find(it => it.cells[0].innerText.includes('10.0.1.2'))?.cells[1].innerText";
        stage.browser.await_true(&tab, &format!("{state}.includes('▲ problem')"));
        let todo = "[...document.querySelectorAll('#findings li')].some(it => \
            it.innerText.includes('no such interface') && it.querySelector('p').innerText.includes('ip link set'))";
        stage.browser.await_true(&tab, todo);
        stage.lab[H1].api().delete(&stage.lab[H1].api().path(VIP2)).expect(204);
        stage.browser.await_true(&tab, &format!("{state}.includes('well')"));
        other.delete(&other.path(VIP2)).expect(204);
        stage.lab[H2].api().delete(&stage.lab[H2].api().path(VIP2)).expect(204);
        stage.browser.await_true(&tab, &format!("{state} === undefined"));
    }

    fn what_others_wrote_is_text(stage: &mut Stage) {
        stage.lab.etcd.put(&format!("/link/config/{HOSTILE}"), "rubbish");
        stage.lab.etcd.put("/link/ips/10.0.1.1_24/<b>h9<b>", "{\"updated_at\":\"\"}");
        stage.lab.etcd.put("/link/ips/10.0.1.1_24/\u{202e}9h", "{\"updated_at\":\"\"}");
        stage.lab[H1].api().failover_to(VIP, HOSTILE).expect(409);
        let tab = stage.first.clone();
        for (place, text) in [
            ("findings", HOSTILE),
            ("events", HOSTILE),
            ("hosts", "<b>h9<b>"),
            ("hosts", "\\u{202e}9h"),
        ] {
            let shown = format!("document.querySelector('#{place}').innerText");
            stage.browser.await_true(&tab, &format!("{shown}.includes({})", json!(text)));
        }
        let found = "document.querySelectorAll('img, iframe, [onerror], script:not([type])').length + \
            [...document.querySelectorAll('b')].filter(it => it.textContent === 'h9').length";
        assert_eq!(stage.js(found), 0);
        assert_eq!(stage.js("window.hacked ?? null"), Value::Null);
    }

    fn nothing_becomes_markup_or_asks_elsewhere(stage: &mut Stage) {
        let elsewhere = ("10.0.0.99", 80);
        let listener = stage.lab.client.namespace().run(|| TcpListener::bind(elsewhere)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let inject = format!("document.body.insertAdjacentHTML('beforeend', {})", json!(HOSTILE));
        let inject =
            format!("(() => {{ try {{ {inject} }} catch (error) {{ return error.name }} }})()");
        assert_eq!(stage.js(&inject), "TypeError");
        stage.js("new Image().src = 'http://10.0.0.99/'; 0");
        let ask = "fetch('http://10.0.0.99/').then(() => 'sent', error => error.name)";
        assert_eq!(stage.js(ask), "TypeError");
        let heard = listener.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(heard, Err(ErrorKind::WouldBlock));
    }

    fn the_pages_have_asked_nobody_but_their_agents(stage: &mut Stage) {
        let requests = stage.browser.seen("Network.requestWillBeSent");
        assert!(requests.len() > 20, "{requests:#?}");
        for request in requests {
            let url = request["request"]["url"].as_str().unwrap();
            assert!([H1_PAGE, H3_PAGE, "data:"].iter().any(|own| url.starts_with(own)), "{url}");
        }
        let thrown = stage.browser.seen("Runtime.exceptionThrown");
        assert!(thrown.is_empty(), "{thrown:#?}");
    }

    fn an_agent_that_is_gone_for_a_while_is_told(stage: &mut Stage) {
        let tab = stage.first.clone();
        let verdict = "document.querySelector('#verdict').textContent";
        stage.lab[H1].kill();
        stage.browser.await_true(&tab, &format!("{verdict}.includes('the agent does not answer')"));
        stage.lab[H1].restart();
        stage.browser.await_true(&tab, &format!("/need/.test({verdict})"));
        assert_eq!(stage.js("window.loaded"), "once");
    }

    /// Another origin, as any page in the same browser is.
    fn a_foreign_page_changes_nothing(stage: &mut Stage) {
        let foreign = stage.third.clone();
        stage.browser.navigate(&foreign, "http://10.0.0.13:1313/version");
        let drain = format!(
            "fetch('{H1_PAGE}drain', {{ method: 'POST', mode: 'no-cors', body: '' }}).then(() => 'sent')"
        );
        assert_eq!(stage.browser.js(&foreign, &drain), "sent");
        eventually("the browser has its answer", || {
            stage.browser.js(&foreign, "0");
            let answers = stage.browser.seen("Network.responseReceived");
            let refused = |answer: &&Value| answer["response"]["status"] == 403;
            let from = |answer: &&Value| answer["response"]["url"] == format!("{H1_PAGE}drain");
            answers.into_iter().filter(from).any(|answer| refused(&answer))
        });
        let read = format!("fetch('{H1_PAGE}status').then(() => 'read', () => 'refused')");
        assert_eq!(stage.browser.js(&foreign, &read), "refused");
        assert!(!stage.lab[H1].api().get("/drain").read::<Drain>().drained);
    }
}
