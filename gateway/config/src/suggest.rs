//! "Did you mean": the known word nearest to an unknown one.

/// The candidate that a typing mistake most likely came from, if one is near enough.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // A third of the word may be wrong: `lisen` finds `listen`, `port` does not find `path`.
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The candidates that somebody may have meant who wrote more or less of a name than there is: `pi` for `pi-4`, or
/// `raspberry-pi-4`. A typing mistake goes before that.
pub(crate) fn nearest_names<'c>(word: &str, candidates: &[&'c str]) -> Vec<&'c str> {
    if let Some(nearest) = nearest(word, candidates.iter().copied()) {
        return vec![nearest];
    }
    let begins = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-')) && !short.is_empty()
    };
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|rest| rest.ends_with('-')) && !short.is_empty()
    };
    let near = |candidate: &&&str| {
        begins(candidate, word) || begins(word, candidate) || ends(word, candidate)
    };
    candidates.iter().filter(near).copied().collect()
}

/// Edits between two words: insert, delete, replace, or swap two neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("lisen", "listen"), 1);
        assert_eq!(distance("tirgger", "trigger"), 1);
        assert_eq!(distance("fule", "fuel"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let keys = ["listen", "broker", "username"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("user_name", keys), Some("username"));
        assert_eq!(nearest("port", keys), None);
        assert_eq!(nearest("x", ["id"]), None);
        assert_eq!(nearest("path", ["port"]), None);
    }
}
