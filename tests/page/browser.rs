//! A real browser without a window, driven by the DevTools protocol over two named pipes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::{Receiver, unbounded};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::harness::*;

/// For one answer of the browser, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// As root it has no sandbox; the rest keeps it from what no page has asked for.
const FLAGS: &str = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --disable-background-networking --disable-component-update --disable-default-apps --disable-sync \
    --disable-extensions --disable-breakpad --remote-debugging-pipe";

/// The browser, in a namespace. It ends when it is dropped.
pub(crate) struct Browser {
    commands: File,
    messages: Receiver<Value>,
    last: u64,
    events: Vec<Value>,
    /// Who the browser says the user is, where a server asks.
    user: Option<(String, String)>,
    process: Process,
}

/// A page of the browser.
#[derive(Clone)]
pub(crate) struct Tab(String);

impl Browser {
    /// Starts it; its files are in that folder.
    pub(crate) fn start(namespace: &Namespace, folder: &Path) -> Browser {
        let [commands, messages] = ["commands", "messages"].map(|name| pipe(folder.join(name)));
        let [to, from] =
            ["commands", "messages"].map(|name| folder.join(name).display().to_string());
        let script =
            format!("exec chromium {FLAGS} --user-data-dir=\"$HOME/profile\" 3<\"$1\" 4>\"$2\"");
        let mut program = Program::new("sh").args(["-c", &script, "browser", &to, &from]);
        let path = std::env::var("PATH").unwrap_or_default();
        program.environment = [("PATH", path), ("HOME", folder.display().to_string())]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        let process = Process::start(namespace, &program, &folder.join("browser.log"));
        let messages = read(messages);
        Browser { commands, messages, last: 0, events: Vec::new(), user: None, process }
    }

    /// Opens a page that thinks that it is looked at.
    pub(crate) fn open(&mut self, url: &str) -> Tab {
        let target = self.ask(
            None,
            "Target.createTarget",
            json!({ "url": "about:blank", "newWindow": true }),
        );
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.ask(None, "Target.attachToTarget", target)["sessionId"].clone();
        let tab = Tab(session.as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log", "Accessibility"] {
            self.call(&tab, &format!("{domain}.enable"), json!({}));
        }
        self.call(&tab, "Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        self.navigate(&tab, url);
        tab
    }

    pub(crate) fn navigate(&mut self, tab: &Tab, url: &str) {
        let failed = self.call(tab, "Page.navigate", json!({ "url": url }))["errorText"].clone();
        assert_eq!(failed, Value::Null, "{url}");
    }

    /// Has the browser be asked for the user, where a server wants to know, until it was.
    pub(crate) fn navigate_as(&mut self, tab: &Tab, url: &str, user: &str, password: &str) {
        self.user = Some((user.to_owned(), password.to_owned()));
        self.call(tab, "Fetch.enable", json!({ "handleAuthRequests": true }));
        self.navigate(tab, url);
        self.call(tab, "Fetch.disable", json!({}));
        assert!(self.user.is_none(), "the browser was not asked");
    }

    /// What an expression says in the page.
    #[track_caller]
    pub(crate) fn js(&mut self, tab: &Tab, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call(tab, "Runtime.evaluate", parameters);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(crate) fn await_true(&mut self, tab: &Tab, expression: &str) {
        let look = format!(
            "new Promise(done => {{ const end = Date.now() + 40e3, look = () => ({expression}) ? done(true) \
             : Date.now() > end ? done(false) : setTimeout(look, 20); look(); }})"
        );
        if self.js(tab, &look) != true {
            let text = self.js(tab, "document.body.innerText");
            panic!("not to be seen: {expression}\n{}", text.as_str().unwrap_or_default());
        }
    }

    /// Presses a key, by its name.
    pub(crate) fn press(&mut self, tab: &Tab, key: &str) {
        let (key, modifiers) = key.strip_prefix("Shift+").map_or((key, 0), |key| (key, 8));
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            "ArrowDown" => (40, ""),
            other => panic!("{other} has no code yet"),
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "text": text,
                "windowsVirtualKeyCode": code, "modifiers": modifiers });
            self.call(tab, "Input.dispatchKeyEvent", event);
        }
    }

    /// Shows the page as wide as this, light or dark.
    pub(crate) fn show_as(&mut self, tab: &Tab, width: u32, scheme: &str) {
        let screen = json!({ "width": width, "height": 800, "mobile": width < 600,
            "deviceScaleFactor": if width < 600 { 2 } else { 1 } });
        self.call(tab, "Emulation.setDeviceMetricsOverride", screen);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(tab, "Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    pub(crate) fn save_picture(&mut self, tab: &Tab, file: &Path) {
        self.call(tab, "Page.bringToFront", json!({}));
        let picture =
            self.call(tab, "Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, picture).unwrap();
    }

    /// What pages have done so far, of one kind: requests, answers, errors.
    pub(crate) fn seen(&self, method: &str) -> Vec<&Value> {
        let events = self.events.iter().filter(|event| event["method"] == method);
        events.map(|event| &event["params"]).collect()
    }

    /// The roles of what a screen reader finds.
    pub(crate) fn roles(&mut self, tab: &Tab) -> Vec<String> {
        let tree = self.call(tab, "Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] != true);
        nodes.map(|node| node["role"]["value"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[track_caller]
    fn call(&mut self, tab: &Tab, method: &str, parameters: Value) -> Value {
        self.ask(Some(tab), method, parameters)
    }

    #[track_caller]
    fn ask(&mut self, tab: Option<&Tab>, method: &str, parameters: Value) -> Value {
        let id = self.send(tab.map(|tab| json!(tab.0)), method, parameters);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.messages.recv_deadline(deadline);
            let message =
                message.unwrap_or_else(|error| panic!("{method}: {error}: {}", self.process.log()));
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.happened(message);
        }
    }

    fn send(&mut self, session: Option<Value>, method: &str, parameters: Value) -> u64 {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session;
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        self.last
    }

    fn happened(&mut self, event: Value) {
        let request = event["params"]["requestId"].clone();
        let answer = match event["method"].as_str().unwrap_or_default() {
            "Fetch.requestPaused" => ("Fetch.continueRequest", json!({ "requestId": request })),
            "Fetch.authRequired" => {
                let (user, password) = self.user.take().expect("it was asked once");
                let response = json!({ "response": "ProvideCredentials", "username": user,
                    "password": password });
                let parameters = json!({ "requestId": request, "authChallengeResponse": response });
                ("Fetch.continueWithAuth", parameters)
            }
            _ => return self.events.push(event),
        };
        self.send(Some(event["sessionId"].clone()), answer.0, answer.1);
    }
}

/// Both ends are open here, so that nobody waits for the browser to open its own.
fn pipe(path: PathBuf) -> File {
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// The messages of the browser, each ended by a zero byte.
fn read(pipe: File) -> Receiver<Value> {
    let (sender, messages) = unbounded();
    thread::spawn(move || {
        for message in BufReader::new(pipe).split(0) {
            let message = serde_json::from_slice(&message.unwrap()).unwrap();
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    messages
}
