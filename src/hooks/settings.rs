//! What the operator has configured.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::checks;
use crate::secret::Secret;
use crate::vip::{Trust, Url};

/// The hooks of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The command that is run.
    pub command: Option<CommandPath>,
    /// The server that is told.
    pub webhook: Option<WebhookSettings>,
    /// For how long a command runs at most, and a request.
    pub timeout: Duration,
}

/// An absolute path of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandPath {
    pub(super) folder: Arc<Path>,
    pub(super) name: String,
}

/// Who is told over HTTP, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where. It may have a secret in its path or query, and is shown without them.
    pub url: Url,
    /// With what requests are signed; none: they are not.
    pub secret: Option<Secret>,
    /// Who says that the server is that one.
    pub trust: Trust,
}

impl Settings {
    /// No hooks.
    pub fn none() -> Settings {
        Settings { command: None, webhook: None, timeout: Duration::from_secs(10) }
    }

    /// Why the command would not be run now, or else nothing.
    pub fn trouble(&self) -> Option<String> {
        let CommandPath { folder, name } = self.command.as_ref()?;
        let error = checks::find_command(folder, name).err()?;
        Some(format!("NOTIFY_COMMAND is not run: {error}"))
    }
}

impl CommandPath {
    /// # Errors
    ///
    /// It is no absolute path of a file; this continues a sentence that begins with the path.
    pub fn new(path: &str) -> Result<CommandPath, &'static str> {
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            return Err("is not an absolute path (a command without arguments)");
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(folder), Some(name)) = (path.parent(), name) else {
            return Err("is not the path of a command");
        };
        Ok(CommandPath { folder: folder.into(), name: name.to_owned() })
    }
}

impl WebhookSettings {
    /// The part of the URL that is no secret.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.url.is_secure() { "https" } else { "http" };
        format!("{scheme}://{}", self.url.authority())
    }
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSettings({}, {:?})", self.shown(), self.trust)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command =
            self.command.as_ref().map(|it| it.folder.join(&it.name).display().to_string());
        let webhook = self.webhook.as_ref().map(WebhookSettings::shown);
        let hooks: Vec<String> = command.into_iter().chain(webhook).collect();
        f.write_str(&if hooks.is_empty() { "none".to_owned() } else { hooks.join(" and ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        let webhook = WebhookSettings {
            url: "https://chat:8443/hooks/T0K3N?key=K3Y".parse().unwrap(),
            secret: Some(Secret::new("S3CR3T")),
            trust: Trust::System,
        };
        let command = CommandPath::new("/etc/link/notify").ok();
        let settings = Settings { command, webhook: Some(webhook), ..Settings::none() };
        assert_eq!(settings.to_string(), "/etc/link/notify and https://chat:8443");
        let debug = format!("{settings:?}");
        assert!(["T0K3N", "K3Y", "S3CR3T"].iter().all(|secret| !debug.contains(secret)), "{debug}");
        assert_eq!(Settings::none().to_string(), "none");
    }

    #[test]
    fn a_command_is_an_absolute_path_and_looked_at() {
        for wrong in ["", "notify", "./notify", "/", "/etc/.."] {
            assert!(CommandPath::new(wrong).is_err(), "{wrong}");
        }
        let command = CommandPath::new("/nowhere/notify").ok();
        let settings = Settings { command, ..Settings::none() };
        let trouble = settings.trouble().unwrap();
        assert_eq!(trouble, "NOTIFY_COMMAND is not run: /nowhere is not there");
        assert_eq!(Settings::none().trouble(), None);
    }
}
