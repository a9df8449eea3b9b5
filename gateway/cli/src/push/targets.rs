//! `--to`: gateways and groups.

use tidegate_release::Name;
use tidegate_release::manifest::Target;

use crate::args::Args;
use crate::failure::Failure;

/// What every `--to` names, sorted, each once.
///
/// # Errors
/// When there is none, or one of them is no name.
pub fn of(args: &Args) -> Result<Vec<Target>, Failure> {
    let targets = some(args)?;
    if targets.is_empty() {
        return Err(Failure::usage(
            "--to is missing: for whom, such as --to gw-01, --to gw-01,gw-02 or --to group:boilers",
        ));
    }
    Ok(targets)
}

/// The same where it may be left out.
///
/// # Errors
/// When one of them is no name.
pub fn some(args: &Args) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    for word in args.options("to").into_iter().flat_map(|to| to.split(',')).map(str::trim) {
        let target = word.parse::<Target>().map_err(|error| {
            Failure::usage(format!(
                "--to {word:?} {error}; a group is written group:NAME, several are separated by commas"
            ))
        })?;
        targets.push(target);
    }
    targets.sort_unstable();
    targets.dedup();
    Ok(targets)
}

/// A handler's name, from a command line.
///
/// # Errors
/// When it is none.
pub fn handler(word: &str) -> Result<Name, Failure> {
    Name::new(word).map_err(|error| {
        let folder = if word.contains('/') {
            "; the name in handler.toml is meant, not a folder"
        } else {
            ""
        };
        Failure::usage(format!("{word:?} {error}{folder}"))
    })
}

/// The gateways among them.
pub fn gateways(targets: &[Target]) -> impl Iterator<Item = &Name> {
    targets.iter().filter_map(|target| match target {
        Target::Gateway(name) => Some(name),
        Target::Group(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[&str], expect: Result<&str, &str>) {
        let args = line.iter().map(|word| (*word).to_owned());
        let args = Args::read(args, &[], &["to"]).expect("it is read");
        match (of(&args), expect) {
            (Ok(targets), Ok(expect)) => {
                let targets: Vec<String> = targets.iter().map(Target::to_string).collect();
                assert_eq!(targets.join(" "), expect);
            }
            (Err(failure), Err(part)) => {
                assert_eq!(failure.kind.code(), 64);
                assert!(failure.text.contains(part), "{failure}");
            }
            (is, expect) => panic!("{line:?}: {is:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn a_name_with_a_slash_and_nobody_are_refused() {
        check(&[], Err("--to is missing"));
        check(&["--to", "gw/01"], Err("\"gw/01\" is no name"));
        check(&["--to", "gw-01,,gw-02"], Err("\"\" is no name"));
        check(&["--to", "group:"], Err("\"group:\" is no name"));
        check(&["--to", "group:a/b"], Err("group:NAME"));
        check(&["--to", "GW"], Err("is no name"));
        assert!(handler("./overheat").expect_err("a folder").text.contains("not a folder"));
    }

    #[test]
    fn targets_are_sorted_and_named_once() {
        check(&["--to", "gw-02,group:b, gw-01", "--to=gw-02"], Ok("gw-01 gw-02 group:b"));
    }
}
