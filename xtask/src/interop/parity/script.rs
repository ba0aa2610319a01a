//! The script: a Markdown document whose fenced blocks named `parity` are run.

use std::fmt::Write as _;

use anyhow::{Context, bail, ensure};

/// A whole script.
pub(in crate::interop) struct Script {
    pub(in crate::interop) sections: Vec<Section>,
}

/// The blocks below one heading: they share two fresh hosts.
pub(in crate::interop) struct Section {
    /// The first word of the heading, in lower case.
    pub(in crate::interop) name: String,
    /// Arguments of `esx-sim` besides address and account.
    pub(in crate::interop) sim_arguments: Vec<String>,
    /// Names and contents of files that commands read.
    pub(in crate::interop) files: Vec<(String, String)>,
    pub(in crate::interop) steps: Vec<Step>,
}

/// Something that is done on both hosts.
pub(in crate::interop) struct Step {
    /// Where it stands, counted from 1.
    pub(in crate::interop) line: usize,
    pub(in crate::interop) action: Action,
    /// Why the results differ.
    pub(in crate::interop) reasons: Vec<String>,
    /// How they differ: `exit THEIRS OURS`, `- a line of theirs`, `+ a line of ours`.
    pub(in crate::interop) expected: Vec<String>,
    /// How Debian's virsh differs, in a script that the newest one runs too, if it differs in another way.
    pub(in crate::interop) expected_old: Option<Vec<String>>,
}

/// What begins a line about Debian's virsh.
const OLD: char = '9';
/// Debian's virsh differs in nothing, and the newest one does.
const OLD_SAME: &str = "9=";

/// What is done.
pub(in crate::interop) enum Action {
    /// A command is run.
    Run(Command),
    /// A command is run until it prints `output`.
    Until { output: String, command: Command },
    /// The hosts are looked at with somebody else's eyes.
    State,
}

/// A command of virsh's.
pub(in crate::interop) struct Command {
    /// A parameter of the connection URI, `[auto_answer=1]` before the command.
    pub(in crate::interop) parameter: Option<String>,
    pub(in crate::interop) words: Vec<String>,
}

impl Command {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (parameter, text) = match text.strip_prefix('[').and_then(|text| text.split_once("] "))
        {
            Some((parameter, rest)) => (Some(parameter.to_owned()), rest),
            None => (None, text),
        };
        let words = shlex::split(text).context("a quotation mark is not closed")?;
        Ok(Self { parameter, words })
    }

    fn shown(&self) -> String {
        let words = self.words.join(" ");
        match &self.parameter {
            Some(parameter) => format!("[{parameter}] {words}"),
            None => words,
        }
    }
}

impl Step {
    /// Takes the differences found for those that are expected.
    pub(in crate::interop) fn bless(&mut self, found: &[String]) {
        if matches!(self.action, Action::Until { .. }) {
            return;
        }
        found.clone_into(&mut self.expected);
        if !self.differs() {
            self.reasons.clear();
        }
    }

    /// The same for Debian's virsh, after the newest one.
    pub(in crate::interop) fn bless_old(&mut self, found: &[String]) {
        if !matches!(self.action, Action::Until { .. }) {
            self.expected_old = (*found != *self.expected).then(|| found.to_vec());
        }
    }

    /// The differences that are expected of Debian's virsh in a script that the newest one runs too.
    pub(in crate::interop) fn expected_old(&self) -> &[String] {
        self.expected_old.as_ref().unwrap_or(&self.expected)
    }

    /// Whether anybody differs.
    pub(in crate::interop) fn differs(&self) -> bool {
        !self.expected.is_empty() || self.expected_old.is_some()
    }

    /// The step in short.
    pub(in crate::interop) fn shown(&self) -> String {
        match &self.action {
            Action::Run(command) => command.shown(),
            Action::Until { output, command } => format!("until {output:?}: {}", command.shown()),
            Action::State => "state".to_owned(),
        }
    }
}

impl Script {
    /// Reads the document.
    pub(in crate::interop) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut script = Self { sections: Vec::new() };
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            if let Some(heading) = line.strip_prefix("## ") {
                let name = heading.split([' ', ':']).next().unwrap_or_default().to_lowercase();
                let section = Section {
                    name,
                    sim_arguments: Vec::new(),
                    files: Vec::new(),
                    steps: Vec::new(),
                };
                script.sections.push(section);
                continue;
            }
            let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else {
                continue;
            };
            let at = format!("line {}", number + 1);
            let block: Vec<_> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
            let section =
                script.sections.last_mut().with_context(|| format!("{at}: no heading"))?;
            if info == "parity" {
                for (number, line) in block {
                    section
                        .line(number + 1, line)
                        .with_context(|| format!("line {}", number + 1))?;
                }
            } else if let Some((_, file)) = info.split_once("file=") {
                ensure!(!file.contains(['/', ' ']), "{at}: {file:?} is no plain file name");
                let content: String = block.iter().flat_map(|(_, line)| [line, "\n"]).collect();
                section.files.push((file.to_owned(), content));
            }
        }
        script.sections.retain(|section| !section.steps.is_empty());
        ensure!(!script.sections.is_empty(), "there is nothing to run");
        Ok(script)
    }

    /// The document with the differences that the steps expect now.
    pub(in crate::interop) fn write(&self, text: &str) -> String {
        let step_at = |number: usize| {
            self.sections.iter().flat_map(|section| &section.steps).find(|step| step.line == number)
        };
        let mut out = String::new();
        let mut inside = false;
        for (index, line) in text.lines().enumerate() {
            inside = match line {
                "```parity" => true,
                "```" => false,
                _ => inside,
            };
            let sign = line.strip_prefix(OLD).unwrap_or(line);
            let belongs_to_step =
                ["- ", "+ ", "! ", "exit "].iter().any(|start| sign.starts_with(start))
                    || matches!(sign, "-" | "+" | "!" | "=");
            if inside && belongs_to_step {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{line}");
            if let Some(step) = step_at(index + 1) {
                let old = step.expected_old.iter().flatten().map(|line| format!("{OLD}{line}"));
                let nothing = step.expected_old.as_ref().is_some_and(Vec::is_empty);
                let old = old.chain(nothing.then(|| OLD_SAME.to_owned()));
                let differs = !step.expected.is_empty() || step.expected_old.is_some();
                let wanted = (step.reasons.is_empty() && differs).then_some("!".to_owned());
                for line in step
                    .reasons
                    .iter()
                    .map(|r| format!("! {r}").trim_end().to_owned())
                    .chain(wanted)
                    .chain(step.expected.iter().cloned())
                    .chain(old)
                {
                    let _ = writeln!(out, "{line}");
                }
            }
        }
        out
    }
}

impl Section {
    fn line(&mut self, number: usize, line: &str) -> anyhow::Result<()> {
        let step = |action| Step {
            line: number,
            action,
            reasons: Vec::new(),
            expected: Vec::new(),
            expected_old: None,
        };
        if line.trim_end() == OLD_SAME {
            self.last()?.expected_old = Some(Vec::new());
            return Ok(());
        }
        if let Some(old) = line.strip_prefix(OLD)
            && old.starts_with(['-', '+', 'e'])
        {
            let old = old.trim_end().to_owned();
            self.last()?.expected_old.get_or_insert_default().push(old);
            return Ok(());
        }
        let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
        match sign {
            "" | "#" => {}
            "%" => self.sim_arguments.extend(Command::parse(rest)?.words),
            "$" => self.steps.push(step(Action::Run(Command::parse(rest)?))),
            "until" => {
                let (output, command) =
                    rest.split_once(": ").context("expected `until OUTPUT: COMMAND`")?;
                let action =
                    Action::Until { output: output.to_owned(), command: Command::parse(command)? };
                self.steps.push(step(action));
            }
            "@" if rest == "state" => self.steps.push(step(Action::State)),
            "!" => self.last()?.reasons.push(rest.to_owned()),
            "-" | "+" | "exit" => self.last()?.expected.push(line.trim_end().to_owned()),
            _ => bail!("what is {line:?}?"),
        }
        Ok(())
    }

    fn last(&mut self) -> anyhow::Result<&mut Step> {
        self.steps.last_mut().context("this belongs to a command, and there is none before it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Title\n```text\nno\n```\n## Domains: all\nProse.\n```xml file=new.xml\n<domain/>\n```\n\
                        ```parity\n% --vms 3\n# a comment\n$ [auto_answer=1] start 'a b'\n! libvirt cannot.\nexit 1 0\n- \n+ ours\n\
                        until shut off: domstate x\n@ state\n```\n## Empty\n";

    #[test]
    fn a_document_becomes_steps() {
        let script =
            Script::parse(TEXT.strip_prefix("# Title\n```text\nno\n```\n").unwrap()).unwrap();
        let [section] = &script.sections[..] else { panic!("{}", script.sections.len()) };
        assert_eq!(section.name, "domains");
        assert_eq!(section.sim_arguments, ["--vms", "3"]);
        assert_eq!(section.files, [("new.xml".to_owned(), "<domain/>\n".to_owned())]);
        let shown: Vec<_> = section.steps.iter().map(Step::shown).collect();
        assert_eq!(shown, ["[auto_answer=1] start a b", "until \"shut off\": domstate x", "state"]);
        assert_eq!(section.steps[0].reasons, ["libvirt cannot."]);
        assert_eq!(section.steps[0].expected, ["exit 1 0", "-", "+ ours"]);
    }

    #[test]
    fn an_older_virsh_may_differ_in_its_own_way() {
        let text = "## A\n```parity\n$ uri\n! Why.\n- new\n9- old\n9+ ours\n$ list\n! Why.\n+ x\n9=\n$ end\n```\n";
        let mut script = Script::parse(text).unwrap();
        let [uri, list, end] = &mut script.sections[0].steps[..] else { panic!() };
        assert_eq!(uri.expected, ["- new"]);
        assert_eq!(uri.expected_old, Some(vec!["- old".to_owned(), "+ ours".to_owned()]));
        assert_eq!(list.expected_old, Some(Vec::new()));
        assert_eq!(end.expected_old, None);
        assert_eq!(script.write(text), text);
        let [uri, ..] = &mut script.sections[0].steps[..] else { panic!() };
        uri.expected_old = None;
        assert_eq!(script.write(text), text.replace("9- old\n9+ ours\n", ""));
    }

    #[test]
    fn differences_are_written_back_in_place() {
        let text = TEXT.strip_prefix("# Title\n```text\nno\n```\n").unwrap();
        let mut script = Script::parse(text).unwrap();
        script.sections[0].steps[0].expected = vec!["+ new".to_owned()];
        let expect = text.replace("exit 1 0\n- \n+ ours\n", "+ new\n");
        assert_eq!(script.write(text), expect);
        script.sections[0].steps[0].expected.clear();
        script.sections[0].steps[0].reasons.clear();
        let expect = text.replace("! libvirt cannot.\nexit 1 0\n- \n+ ours\n", "");
        assert_eq!(script.write(text), expect);
    }

    #[test]
    fn mistakes_are_named_by_line() {
        for (text, says) in [
            ("## A\n```parity\nstart x\n```\n", "line 3"),
            ("## A\n```parity\n- x\n```\n", "line 3"),
            ("## A\n```parity\n$ a 'b\n```\n", "line 3"),
            ("# A\n", "nothing to run"),
        ] {
            let error = format!("{:#}", Script::parse(text).err().unwrap());
            assert!(error.contains(says), "{error}");
        }
    }
}
