//! The command line: one small reader for every command.

use crate::failure::Failure;

/// What stands behind a command's name: words, `--flag`, `--option VALUE` and `--option=VALUE`.
#[derive(Debug, Default)]
pub struct Args {
    words: Vec<String>,
    flags: Vec<&'static str>,
    options: Vec<(&'static str, String)>,
}

impl Args {
    /// Reads the arguments of a command that knows these flags and options. `--` ends the options.
    ///
    /// # Errors
    /// When something stands there that the command does not know, or an option has no value.
    pub fn read(
        args: impl IntoIterator<Item = String>,
        flags: &[&'static str],
        options: &[&'static str],
    ) -> Result<Args, Failure> {
        let mut read = Args::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                read.words.extend(args);
                break;
            }
            let Some(written) = arg.strip_prefix("--") else {
                read.words.push(arg);
                continue;
            };
            let (name, inline) = match written.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (written, None),
            };
            if let (Some(flag), None) = (flags.iter().find(|flag| **flag == name), &inline) {
                read.flags.push(flag);
            } else if let Some(option) = options.iter().find(|option| **option == name) {
                let value = inline.or_else(|| args.next());
                let value =
                    value.ok_or_else(|| Failure::usage(format!("--{name} needs a value")))?;
                read.options.push((option, value));
            } else {
                return Err(Failure::usage(format!("`{arg}` is not an option of this command")));
            }
        }
        Ok(read)
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// The value of an option; the last one where it stands twice.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(option, _)| *option == name).map(|(_, value)| &value[..])
    }

    /// Every value of an option that may stand there more than once, in order.
    pub fn options(&self, name: &str) -> Vec<&str> {
        let same = |(option, _): &&(&str, String)| *option == name;
        self.options.iter().filter(same).map(|(_, value)| &value[..]).collect()
    }

    /// Every word, in order.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The one word that a command takes.
    ///
    /// # Errors
    /// When there is none or more than one.
    pub fn word(&self, what: &str) -> Result<&str, Failure> {
        self.word_or_none()?.ok_or_else(|| Failure::usage(format!("{what} is missing")))
    }

    /// The one word that a command may take.
    ///
    /// # Errors
    /// When there is more than one.
    pub fn word_or_none(&self) -> Result<Option<&str>, Failure> {
        match &self.words[..] {
            [] => Ok(None),
            [word] => Ok(Some(word)),
            [_, more, ..] => Err(Failure::usage(format!("`{more}` is one word too many"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Result<(&[&str], bool, Option<&str>), &str>) {
        let args = line.split_whitespace().map(str::to_owned);
        let args = Args::read(args, &["json"], &["topic"]);
        let read = args.as_ref().map(|args| {
            let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
            (words, args.has("json"), args.option("topic"))
        });
        match (read, expect) {
            (Ok(read), Ok((words, json, topic))) => {
                assert_eq!(read, (words.to_vec(), json, topic), "{line}")
            }
            (Err(failure), Err(text)) => assert_eq!(failure.text, text, "{line}"),
            (read, expect) => panic!("{line}: {read:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn what_a_command_does_not_know_is_refused() {
        check("--jsn", Err("`--jsn` is not an option of this command"));
        check("--json=yes", Err("`--json=yes` is not an option of this command"));
        check("a --topic", Err("--topic needs a value"));
    }

    #[test]
    fn words_flags_and_options_may_stand_in_any_order() {
        check("a --json --topic x b", Ok((&["a", "b"], true, Some("x"))));
        check("--topic=a/b=c", Ok((&[], false, Some("a/b=c"))));
        check("--topic a --topic b", Ok((&[], false, Some("b"))));
        let read = Args::read(["--topic=a", "--topic", "b"].map(str::to_owned), &[], &["topic"]);
        assert_eq!(read.map(|read| read.options("topic").join(" ")), Ok("a b".to_owned()));
        check("-- --json", Ok((&["--json"], false, None)));
    }
}
