//! Words that a file may say: the list of them for a message, and the one that was probably meant.

pub(crate) fn allowed(words: &[&str]) -> String {
    format!("allowed: {}", words.join(", "))
}

/// The word that was probably meant: the same but for case, or for two letters.
pub(crate) fn closest(text: &str, words: &[&str]) -> Option<String> {
    let near = words.iter().map(|word| (distance(&text.to_lowercase(), &word.to_lowercase()), word));
    let (changes, word) = near.min_by_key(|(changes, _)| *changes)?;
    (changes <= 2 && changes < word.len()).then(|| format!("did you mean `{word}`?"))
}

/// Letters to insert, drop or replace on the way from one to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    // A word of a file may be long; the words it is compared with are not.
    if from.len() > 64 {
        return usize::MAX;
    }
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (b, cell) in to.iter().zip(row.iter_mut().skip(1)) {
            let best = (diagonal + usize::from(a != *b)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
