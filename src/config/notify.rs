//! The variables of the hooks.

use std::path::Path;

use super::reader::Reader;
use crate::hooks::{CommandPath, Settings, WebhookSettings};
use crate::secret::Secret;
use crate::vip::{Trust, Url};

impl Reader<'_> {
    pub(super) fn hooks(&mut self) -> Settings {
        let command = self.notify_command();
        let webhook = self.webhook();
        Settings { command, webhook, timeout: self.duration("NOTIFY_TIMEOUT", "10s", 100) }
    }

    /// Whether it may be run is looked at whenever it is.
    fn notify_command(&mut self) -> Option<CommandPath> {
        let text = self.text("NOTIFY_COMMAND")?;
        CommandPath::new(&text).map_err(|why| self.mistake("NOTIFY_COMMAND", &text, why)).ok()
    }

    fn webhook(&mut self) -> Option<WebhookSettings> {
        let secret = self.text("NOTIFY_URL_SECRET").map(Secret::new);
        let trust = self.authority();
        let Some(text) = self.text("NOTIFY_URL") else {
            if secret.is_some() {
                self.mistakes.push("NOTIFY_URL_SECRET is set and needs NOTIFY_URL".to_owned());
            }
            if trust != Trust::System {
                self.mistakes.push("NOTIFY_URL_CACERT is set and needs NOTIFY_URL".to_owned());
            }
            return None;
        };
        match text.parse::<Url>() {
            Ok(url) => {
                if trust != Trust::System && !url.is_secure() {
                    let why = "NOTIFY_URL_CACERT needs an https:// URL in NOTIFY_URL";
                    self.mistakes.push(why.to_owned());
                }
                Some(WebhookSettings { url, secret, trust })
            }
            // Without the value.
            Err(why) => {
                self.mistakes.push(format!("NOTIFY_URL {why}"));
                None
            }
        }
    }

    fn authority(&mut self) -> Trust {
        let Some(path) = self.text("NOTIFY_URL_CACERT") else { return Trust::System };
        if !Path::new(&path).is_absolute() {
            self.mistake("NOTIFY_URL_CACERT", &path, "is not an absolute path");
        }
        Trust::File(path)
    }
}
