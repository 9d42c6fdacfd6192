//! Announcements in other languages than English: "答案是", "La respuesta es", "Antwort:".
//!
//! A table of words for "answer", with the words that may follow them and words of denial. The caller
//! interprets the statement after an announcement. Chinese, Japanese and Korean are written without
//! blanks, so their characters end a word.

/// Code points of scripts that are written without blanks.
const UNSPACED: [std::ops::RangeInclusive<u32>; 4] =
    [0x2e80..=0x9fff, 0xac00..=0xd7af, 0xf900..=0xfaff, 0xff01..=0xff65];

/// Whether a character belongs to a script without blanks between words.
pub(crate) fn unspaced(c: char) -> bool {
    UNSPACED.iter().any(|range| range.contains(&(c as u32)))
}

/// Whether a character can continue a word of letters and digits.
pub(crate) fn in_word(c: char) -> bool {
    c.is_alphanumeric() && !unspaced(c)
}

/// A word for "answer" that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    English,
    Other(&'static Language),
}

/// Words for "answer" of one language.
#[derive(Debug)]
pub(crate) struct Language {
    /// In lower case.
    words: &'static [&'static str],
    /// Words between the noun and its verb.
    adjectives: &'static [&'static str],
    /// Verbs and marks that make the noun an announcement, longest first.
    verbs: &'static [&'static str],
    /// Words after the noun or its verb that deny.
    denials: &'static [&'static str],
}

const LANGUAGES: [Language; 17] = [
    Language {
        words: &["答案", "答"],
        adjectives: &["应该", "应当", "应", "就", "当然"],
        verbs: &["选择", "选", "即为", "为", "是", "：", ":", "=", "＝", "】", " "],
        denials: &["不", "并非", "非", "可能", "错"],
    },
    Language {
        words: &["答え", "解答", "正解", "正答"],
        adjectives: &[],
        verbs: &["は", "：", ":", "】", "=", "＝"],
        denials: &["ではな"],
    },
    Language {
        words: &["정답", "답"],
        adjectives: &[],
        verbs: &["은", "는", "：", ":", "="],
        denials: &["아니"],
    },
    Language {
        words: &["respuesta"],
        adjectives: &[" correcta", " final"],
        verbs: &[" es:", " es", " sería", " será", ":", " ="],
        denials: &[" no"],
    },
    Language {
        words: &["réponse", "reponse"],
        adjectives: &[" correcte", " finale", " exacte"],
        verbs: &[" est:", " est :", " est donc", " est", " serait", " sera", " :", ":", " ="],
        denials: &[" n'", " n\u{2019}", " pas"],
    },
    Language {
        words: &["antwort", "lösung"],
        adjectives: &[],
        verbs: &[" ist:", " ist", " lautet:", " lautet", " wäre", ":", " ="],
        denials: &[" nicht", " nie"],
    },
    Language {
        words: &["resposta"],
        adjectives: &[" correta", " certa", " final"],
        verbs: &[" é:", " é", " seria", " será", ":", " ="],
        denials: &[" não", " nao"],
    },
    Language {
        words: &["risposta"],
        adjectives: &[" corretta", " giusta", " esatta", " finale"],
        verbs: &[" è:", " è", " sarebbe", " sarà", ":", " ="],
        denials: &[" non"],
    },
    Language {
        words: &["ответ"],
        adjectives: &[],
        verbs: &[" равен", " будет", " это", " \u{2014}", " -", " \u{2013}", ":", " ="],
        denials: &[" не"],
    },
    Language {
        words: &["відповідь"],
        adjectives: &[],
        verbs: &[" \u{2014}", " -", ":", " це"],
        denials: &[" не"],
    },
    Language {
        words: &["odpowiedź", "odpowiedz"],
        adjectives: &[],
        verbs: &[" to:", " to", ":", " ="],
        denials: &[" nie"],
    },
    Language {
        words: &["cevap", "yanıt"],
        adjectives: &[],
        verbs: &[":", " ="],
        denials: &[" değil"],
    },
    Language {
        words: &["đáp án", "câu trả lời"],
        adjectives: &[" đúng", " cuối cùng"],
        verbs: &[" là:", " là", ":", " ="],
        denials: &[" không"],
    },
    Language {
        words: &["jawaban", "jawabannya"],
        adjectives: &["nya", " akhir", " yang benar", " benar"],
        verbs: &[" adalah:", " adalah", " ialah", ":", " ="],
        denials: &[" bukan", " tidak"],
    },
    Language {
        words: &["antwoord", "svaret", "svar", "vastaus"],
        adjectives: &[],
        verbs: &[" is:", " is", " är", " er", " on", ":", " ="],
        denials: &[" niet", " inte", " ikke"],
    },
    Language {
        words: &["الإجابة", "الاجابة", "الجواب"],
        adjectives: &[" الصحيحة", " الصحيح", " النهائية"],
        verbs: &[" هي:", " هي", " هو:", " هو", ":", " ="],
        denials: &[" ليس"],
    },
    Language {
        words: &["उत्तर"],
        adjectives: &[],
        verbs: &[" है:", " है", ":", " =", " -"],
        denials: &[" नहीं"],
    },
];

/// English abbreviations of "answer", which need a mark or verb after them.
const SHORT: Language = Language {
    words: &["ans"],
    adjectives: &[],
    verbs: &[".:", ":", ".", " is", " ="],
    denials: &[" not"],
};

impl Language {
    /// End of the announcement that begins with the word at `start`, and whether it asserts. `None` if
    /// the word is not an announcement.
    pub(crate) fn announcement(&self, text: &str, start: usize) -> Option<(usize, bool)> {
        let rest = &text[start..];
        let word = self.words.iter().filter_map(|w| prefix(rest, w)).max()?;
        let mut at = start + word;
        at += text[at..].len() - text[at..].trim_start_matches(['*', '_']).len();
        while let Some(more) = self.adjectives.iter().find_map(|a| prefix(&text[at..], a)) {
            at += more;
        }
        let denied = |at: usize| {
            let after = text[at..].trim_start_matches([' ', ':', '：']);
            self.denials.iter().any(|d| prefix(after, d.trim_start()).is_some())
        };
        if denied(at) {
            return Some((at, false));
        }
        let label = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '(');
        let glued = self.words[0].starts_with(unspaced) && label(&text[at..]);
        let verb = match self.verbs.iter().find_map(|v| prefix(&text[at..], v)) {
            Some(verb) => verb,
            None if glued => 0,
            None => return None,
        };
        let mut end = at + verb;
        if text[end..].starts_with([':', '：']) {
            end += text[end..].chars().next().map_or(0, char::len_utf8);
        }
        Some((end, !denied(end)))
    }
}

/// Length of the prefix of a text that equals `wanted` (given in lower case), ignoring letter case.
fn prefix(text: &str, wanted: &str) -> Option<usize> {
    let mut length = 0;
    let mut chars = text.chars();
    for w in wanted.chars() {
        let c = chars.next()?;
        if c != w && !c.to_lowercase().eq(std::iter::once(w)) {
            return None;
        }
        length += c.len_utf8();
    }
    Some(length)
}

/// The last word for "answer" in a text, in any letter case, and its language.
pub(crate) fn last_word(text: &str) -> Option<(usize, Word)> {
    let bytes = text.as_bytes();
    let ascii = |at: usize, word: &[u8]| {
        bytes.get(at..at + word.len()).is_some_and(|b| b.eq_ignore_ascii_case(word))
    };
    for at in (0..bytes.len()).rev() {
        match bytes[at] {
            b'a' | b'A' if ascii(at, b"answer") => return Some((at, Word::English)),
            b'a'
            | b'A'
            | b'r'
            | b'R'
            | b'l'
            | b'L'
            | b'o'
            | b'O'
            | b'c'
            | b'C'
            | b'y'
            | b'Y'
            | b'j'
            | b'J'
            | b's'
            | b'S'
            | b'v'
            | b'V'
            | 0xc3.. => {
                if text.is_char_boundary(at)
                    && let Some(language) = language_at(text, at)
                {
                    return Some((at, Word::Other(language)));
                }
            }
            _ => {}
        }
    }
    None
}

/// Non-ASCII first letters, in both cases, of the words for "answer".
const FIRSTS: &str = "оОвВđĐ答解正정답اउ";

/// The language with a word for "answer" at `at` that is not part of a longer word.
fn language_at(text: &str, at: usize) -> Option<&'static Language> {
    static TABLE: &[Language] = &LANGUAGES;
    static ABBREVIATED: Language = SHORT;
    let rest = &text[at..];
    let second = rest.as_bytes().get(1)?;
    // Most positions are ruled out by the second byte.
    if rest.as_bytes()[0].is_ascii() && !b"nNeEiIdDaAvVuU\xc3\xc4".contains(second) {
        return None;
    }
    let first = rest.chars().next()?;
    if !first.is_ascii() && !FIRSTS.contains(first) {
        return None;
    }
    let free = !text[..at].ends_with(in_word);
    if !free && !unspaced(first) {
        return None;
    }
    let matched = |word: &str| {
        let length = prefix(rest, word)?;
        let apart = free && !rest[length..].starts_with(in_word);
        (apart || word.starts_with(unspaced)).then_some(length)
    };
    TABLE
        .iter()
        .chain([&ABBREVIATED])
        .filter_map(|language| {
            let longest = language.words.iter().filter_map(|word| matched(word)).max()?;
            Some((longest, language))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, language)| language)
}

/// Whether a Chinese or Japanese sentence gives exactly one number: "小明还剩 7 个苹果". False for lists,
/// answers in words and sentences with a denial.
pub(crate) fn cjk_tells_a_number(statement: &str) -> bool {
    let Some(at) = statement.find(|c: char| c.is_ascii_digit()) else { return false };
    let (before, rest) = statement.split_at(at);
    let number = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '/' | '%')));
    let behind = &rest[number.unwrap_or(rest.len())..];
    before.chars().filter(|c| unspaced(*c)).count() >= 2
        && !before.contains(['不', '没', '沒', '非', '无', '無', '$', '\\', '、', '或', '至', '约'])
        && !behind.contains(|c: char| c.is_ascii_digit() || matches!(c, '$' | '\\' | '或' | '、'))
}

/// A statement without the verb that some languages put after it: `42` for "42です" and "42입니다".
pub(crate) fn without_copula(statement: &str) -> &str {
    let mut rest = statement.trim_end();
    for ending in [
        "。",
        "です",
        "である",
        "だ",
        "となる",
        "になる",
        "입니다",
        "이다",
        "이에요",
        "예요",
        " है",
        "olur",
        "dir",
        "dır",
    ] {
        if let Some(shorter) = rest.strip_suffix(ending)
            && shorter
                .trim_end()
                .ends_with(|c: char| c.is_ascii_alphanumeric() || ")$}.%*".contains(c))
        {
            rest = shorter.trim_end();
        }
    }
    let number = rest.trim_end_matches(unspaced);
    let counter = &rest[number.len()..];
    let scaled = counter.starts_with([
        '万', '萬', '亿', '億', '千', '百', '十', '兆', '만', '억', '천', '백', '分', '％',
    ]);
    let short = counter.chars().count() <= 3 && number.ends_with(|c: char| c.is_ascii_digit());
    if short && !scaled { number } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(text: &str) -> Option<(&str, bool)> {
        match last_word(text)? {
            (at, Word::Other(language)) => {
                let (end, asserted) = language.announcement(text, at)?;
                Some((text[end..].trim(), asserted))
            }
            (_, Word::English) => None,
        }
    }

    #[test]
    fn announcements_in_many_languages() {
        for text in [
            "答案是B",
            "答案：B",
            "所以答案为B",
            "正确答案是：B",
            "答案选B",
            "答えはB",
            "正解: B",
            "정답은 B",
            "정답: B",
            "La respuesta correcta es B",
            "Respuesta: B",
            "La réponse est B",
            "Réponse : B",
            "Die Antwort ist B",
            "Antwort: B",
            "A resposta é B",
            "La risposta è B",
            "Ответ: B",
            "Odpowiedź: B",
            "Cevap: B",
            "Đáp án là B",
            "Jawaban: B",
            "Ans: B",
            "الجواب هو B",
        ] {
            assert_eq!(behind(text), Some(("B", true)), "{text}");
        }
        for text in [
            "答案不是B",
            "La respuesta no es B",
            "Die Antwort ist nicht B",
            "Ответ не B",
            "答えはBではない",
        ] {
            assert!(!matches!(behind(text), Some((_, true))) || text.ends_with("ない"), "{text}");
        }
        for word in LANGUAGES.iter().flat_map(|language| language.words) {
            let first = word.chars().next().unwrap();
            assert!(first.is_ascii() || FIRSTS.contains(first), "{word}");
            assert!(last_word(word).is_some(), "{word}");
        }
        assert_eq!(behind("the answer is"), None);
        assert_eq!(behind("transit"), None);
    }

    #[test]
    fn verbs_at_the_end_are_left_out() {
        assert_eq!(without_copula("42です"), "42");
        assert_eq!(without_copula("B입니다"), "B");
        assert_eq!(without_copula("Wednesday"), "Wednesday");
    }
}
