//! Choices as models write them: labels in every form, negations, several labels, option texts.
//!
//! Texts are our own; the options are those of a published example question. Only the public function is
//! tested.

use super::*;

const LETTERS: [ChoiceOption<'static>; 4] = [
    ChoiceOption { label: "A", text: "dry palms" },
    ChoiceOption { label: "B", text: "wet palms" },
    ChoiceOption { label: "C", text: "palms covered with oil" },
    ChoiceOption { label: "D", text: "palms covered with lotion" },
];
const DIGITS: [ChoiceOption<'static>; 3] = [
    ChoiceOption { label: "1", text: "gravity" },
    ChoiceOption { label: "2", text: "friction" },
    ChoiceOption { label: "3", text: "magnetism" },
];

fn letter(text: &str) -> Option<&'static str> {
    match choose(text, &LETTERS) {
        Chosen::Label(label, _) => Some(label),
        _ => None,
    }
}

fn digit(text: &str) -> Option<&'static str> {
    match choose(text, &DIGITS) {
        Chosen::Label(label, _) => Some(label),
        _ => None,
    }
}

#[test]
fn reads_labels_in_every_dress() {
    for text in [
        "A",
        "(A)",
        "A)",
        "A.",
        "**A**",
        "A: dry palms",
        "\\text{(A) dry palms}",
        "\"A\"",
        "\\boxed{A}",
        "$\\boxed{\\textbf{(A)}}$",
        "dry palms",
        "The answer is (A) dry palms.",
        "Answer: A",
        "The correct answer is A because it is dry.",
        "So it's option A.",
        "#### A",
        "The answer is **A**.",
        "the answer is: A: dry palms",
        "Dry palms.",
    ] {
        assert_eq!(letter(text), Some("A"), "{text}");
    }
}

#[test]
fn refuses_negations_articles_and_several_labels() {
    assert_eq!(
        letter("It's not A because it doesn't make sense, therefore I think it's B"),
        Some("B")
    );
    assert_eq!(letter("The answer: D, it doesn't make sense for it to be A or B"), Some("D"));
    assert_eq!(letter("A palm needs moisture."), None);
    assert_eq!(letter("I don't know."), None);
    assert_eq!(letter("The answer is A or B"), None);
    assert_eq!(letter("The answer is not D."), None);
    assert_eq!(letter("Answer: C\n\nWait, the final answer is D."), Some("D"));
}

#[test]
fn reads_what_models_write() {
    let cases = [
        ("The correct answer is **B) wet palms**.", "B"),
        ("B. wet palms", "B"),
        ("Option B is correct.", "B"),
        ("I would choose B.", "B"),
        ("The best answer is C: because of the oil.", "C"),
        ("The answer is (C) palms covered with oil, not (D).", "C"),
        ("A is incorrect. B is incorrect. So C.", "C"),
        ("Both A and B are wrong; the answer is C.", "C"),
        ("Therefore, the correct choice is D.", "D"),
        ("The answer is A, not B.", "A"),
        ("Between A and B, I pick B.", "B"),
        ("Final Answer: D", "D"),
        ("<answer>B</answer>", "B"),
        ("<think>A?</think><answer> (C) </answer>", "C"),
        ("\\boxed{\\text{B}}", "B"),
        ("\\boxed{(B)}", "B"),
        ("\\boxed{B. wet palms}", "B"),
        ("\\boxed{\\mathbf{B}}", "B"),
        ("$\\boxed{\\textbf{(D) }\\text{palms covered with lotion}}$", "D"),
        ("It is C.", "C"),
        ("C is the answer.", "C"),
        ("A is the correct answer.", "A"),
        ("The answer can't be A; it must be C.", "C"),
        ("So, the answer is not A but B.", "B"),
        ("Answer: The correct option is C.", "C"),
        ("The answer is option (b).", "B"),
        ("Dry skin rubs best.\n\nA", "A"),
        ("Dry skin rubs best.\n\n(A)", "A"),
        ("**Answer: A**", "A"),
        ("**Answer:** A. dry palms", "A"),
        ("The answer is \"A\".", "A"),
        ("The answer is $A$.", "A"),
        ("The answer is $\\text{A}$", "A"),
        ("Answer:\nB", "B"),
        ("Answer:\n\n(B) wet palms", "B"),
        ("My final answer is: D.", "D"),
        ("The correct answer is C) palms covered with oil", "C"),
        ("The answer is wet palms.", "B"),
        ("the answer is the wet palms", "B"),
        ("We can rule out A and D. It cannot be B. Hence C.", "C"),
        ("It isn't C, so it must be D", "D"),
        ("Wet palms slip, so dry palms is the answer: A", "A"),
    ];
    let wrong: Vec<_> =
        cases.iter().filter(|(text, expected)| letter(text) != Some(expected)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for text in [
        "None of the above.",
        "Either A or B.",
        "A or B",
        "It is not C.",
        "A good question!",
        "I think so.",
    ] {
        assert_eq!(letter(text), None, "{text}");
    }
}

#[test]
fn reads_numbered_labels() {
    for text in ["2", "(2) friction", "The answer is 2.", "friction", "Answer: (2)", "\\boxed{2}"] {
        assert_eq!(digit(text), Some("2"), "{text}");
    }
    assert_eq!(digit("There are 2 forces here"), None);
}

#[test]
fn label_and_foreign_text_conflict() {
    assert_eq!(choose("The answer is (A) wet palms", &LETTERS), Chosen::Conflict);
}
