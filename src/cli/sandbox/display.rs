//! Where the table goes: a terminal's frame, lines for what is no terminal, or JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Format, SandboxArguments};
use crate::sandbox::table::{Room, Row, changed, changes, text, unexpected};

/// How rows are shown while they change, and at the end.
pub(super) struct Display {
    kind: Kind,
    pub(super) once: bool,
    intro: Intro,
    /// The table has been printed: from now on, changes.
    begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One frame, drawn anew with every change.
    Terminal,
    /// One table when all has settled, then a line a change.
    Lines,
    /// One document when all has settled, then a row a change.
    Json,
}

/// What somebody must know to use the sandbox.
pub(super) struct Intro {
    server: String,
    kubeconfig: String,
    effects: Effects,
    commands: [String; 3],
}

/// Where what the Services become can be looked at.
pub(super) enum Effects {
    /// In the folder of the mock's world, at which other commands can look.
    Mock(PathBuf),
    /// At an emulator of AWS.
    Aws { endpoint: String, region: String },
    /// In the cluster alone, as VirtualIPs.
    Metal,
}

impl Effects {
    fn text(&self) -> String {
        match self {
            Self::Mock(world) => {
                let world = shell(&world.display().to_string());
                format!("PORTOLAN_MOCK_STATE={world} shows other portolan commands the same mock.")
            }
            Self::Aws { endpoint, region } => {
                format!(
                    "Services become Network Load Balancers at {endpoint}, region {region}; they stay there when this ends."
                )
            }
            Self::Metal => {
                "Services get addresses of pools (kubectl get addresspools,virtualips); nobody announces them."
                    .to_owned()
            }
        }
    }

    /// What a Service can be told that it is not yet.
    fn scheme(&self) -> &'static str {
        match self {
            Self::Mock(_) | Self::Metal => "internal",
            Self::Aws { .. } => "public",
        }
    }

    fn json(&self) -> (&'static str, Value) {
        match self {
            Self::Mock(world) => ("mockState", json!(shell(&world.display().to_string()))),
            Self::Aws { endpoint, region } => ("aws", json!({"endpoint": endpoint, "region": region})),
            Self::Metal => ("metal", json!({})),
        }
    }
}

/// Where a terminal does not say how large it is.
const USUAL: Room = Room { columns: 120, lines: 40 };

/// Home; so that a frame replaces the one before without a flash, lines are cleared as they are drawn.
const HOME: &str = "\x1b[H";
const CLEAR: &str = "\x1b[2J";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

impl Intro {
    pub(super) fn new(
        server: &str,
        kubeconfig: &Path,
        effects: Effects,
        example: Option<(&str, &str)>,
        no_controller: bool,
    ) -> Self {
        let kubeconfig = shell(&kubeconfig.display().to_string());
        let kubectl = format!("kubectl --kubeconfig {kubeconfig}");
        let (namespace, name) = example.unwrap_or(("default", "NAME"));
        let third = if no_controller {
            format!("portolan controller --kubeconfig {kubeconfig} --no-leader-election")
        } else {
            format!("{kubectl} annotate service -n {namespace} {name} portolan.dev/scheme={}", effects.scheme())
        };
        let commands =
            [format!("{kubectl} get services -A"), format!("{kubectl} describe service -n {namespace} {name}"), third];
        Self { server: server.to_owned(), kubeconfig, effects, commands }
    }

    fn text(&self) -> String {
        let Self { server, kubeconfig, effects, commands } = self;
        let effects = effects.text();
        let mut text = format!(
            "A Kubernetes API in memory at {server}, without credentials; it goes when this ends (Ctrl-C).\n\
             kubeconfig: {kubeconfig}\n\
             {effects}\ntry:\n"
        );
        for command in commands {
            text.push_str(&format!("  {command}\n"));
        }
        text.push('\n');
        text
    }
}

impl Display {
    pub(super) fn new(arguments: &SandboxArguments, terminal: bool, intro: Intro) -> Self {
        let kind = match (arguments.output, terminal) {
            (Format::Json, _) => Kind::Json,
            // Of what ends by itself only the end is of interest.
            (Format::Text, true) if !arguments.once => Kind::Terminal,
            (Format::Text, _) => Kind::Lines,
        };
        Self { kind, once: arguments.once, intro, begun: false }
    }

    /// Before anything is known.
    pub(super) fn begin(&self, out: &mut impl Write) -> std::io::Result<()> {
        match self.kind {
            Kind::Terminal => write!(out, "{CLEAR}")?,
            Kind::Lines if !self.once => write!(out, "{}", self.intro.text())?,
            Kind::Lines | Kind::Json => {}
        }
        out.flush()
    }

    /// After a change; in a terminal also when its size has.
    pub(super) fn changed(&self, before: &[Row], now: &[Row], out: &mut impl Write) -> anyhow::Result<()> {
        match self.kind {
            Kind::Terminal => self.frame(now, out)?,
            Kind::Lines if self.begun => {
                for line in changes(before, now) {
                    writeln!(out, "{line}")?;
                }
            }
            Kind::Json if self.begun => {
                let (other, gone) = changed(before, now);
                for row in other {
                    writeln!(out, "{}", serde_json::to_string(row)?)?;
                }
                for gone in gone {
                    let gone = json!({"namespace": gone.key.namespace, "name": gone.key.name, "gone": true});
                    writeln!(out, "{gone}")?;
                }
            }
            Kind::Lines | Kind::Json => {}
        }
        Ok(out.flush()?)
    }

    /// When all is as expected, or will hardly be any more.
    pub(super) fn settled(&mut self, rows: &[Row], late: Option<&str>, out: &mut impl Write) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match self.kind {
            Kind::Terminal => self.frame(rows, out)?,
            Kind::Lines => {
                write!(out, "{}", text(rows, None))?;
                if let Some(late) = late {
                    writeln!(out, "\nnot as expected {late}:")?;
                    for line in unexpected(rows) {
                        writeln!(out, "  {line}")?;
                    }
                }
            }
            Kind::Json if self.once => {
                let document = json!({"settled": late.is_none(), "services": rows});
                writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
            }
            Kind::Json => {
                let Intro { server, kubeconfig, effects, commands: _ } = &self.intro;
                let ((key, effects), settled) = (effects.json(), late.is_none());
                let all = json!({"settled": settled, "server": server, "kubeconfig": kubeconfig, key: effects, "services": rows});
                writeln!(out, "{all}")?;
            }
        }
        Ok(out.flush()?)
    }

    fn frame(&self, rows: &[Row], out: &mut impl Write) -> std::io::Result<()> {
        let intro = self.intro.text();
        let room = room();
        // A line that the terminal breaks takes several: a command is not cut, somebody is to copy it.
        let broken = |line: &str| line.chars().count().div_ceil(usize::from(room.columns)).max(1);
        let above = u16::try_from(intro.lines().map(broken).sum::<usize>()).unwrap_or(u16::MAX);
        let left = Room { lines: room.lines.saturating_sub(above), ..room };
        write!(out, "{HOME}")?;
        for line in intro.lines().chain(text(rows, Some(left)).lines()) {
            write!(out, "{line}{CLEAR_LINE}\r\n")?;
        }
        write!(out, "{CLEAR_BELOW}")
    }
}

/// What the terminal has room for.
fn room() -> Room {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Room { columns: size.ws_col, lines: size.ws_row },
        Ok(_) | Err(_) => USUAL,
    }
}

/// As a shell must be given it.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
