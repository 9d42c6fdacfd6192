//! Properties that must hold for all answers, tested on generated ones: an independent rational oracle,
//! and verdicts that do not depend on layout, order or scale.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;
use proptest::prelude::*;
use regrowth_verifiers::{Form, Grader, Pair, Verdict};

fn verdict(gold: &str, answer: &str) -> Verdict {
    let pair = Pair { answer_form: Form::Answer, ..Pair::new(gold, answer) };
    Grader::default().grade(&pair).verdict
}

/// An expression with its exact value, computed while the expression is generated; `None` if it is
/// undefined.
#[derive(Debug, Clone)]
struct Sample {
    latex: String,
    value: Option<BigRational>,
}

fn rational(n: i64, d: i64) -> BigRational {
    BigRational::new(n.into(), d.into())
}

fn number() -> impl Strategy<Value = Sample> {
    prop_oneof![
        (0_i64..200).prop_map(|n| Sample { latex: n.to_string(), value: Some(rational(n, 1)) }),
        (0_i64..2000, 0_i64..1000).prop_map(|(n, m)| Sample {
            latex: format!("{n}.{m:03}"),
            value: Some(rational(n * 1000 + m, 1000)),
        }),
        (1_i64..50, 1_i64..50).prop_map(|(n, d)| Sample {
            latex: format!("\\frac{{{n}}}{{{d}}}"),
            value: Some(rational(n, d)),
        }),
    ]
}

/// Sums, differences, products, quotients and squares of numbers, in brackets.
fn expression() -> impl Strategy<Value = Sample> {
    number().prop_recursive(4, 24, 2, |inner| {
        (inner.clone(), inner, 0..5_u8).prop_map(|(a, b, operation)| {
            let both = a.value.clone().zip(b.value.clone());
            let (latex, value) = match operation {
                0 => (format!("({} + {})", a.latex, b.latex), both.map(|(x, y)| x + y)),
                1 => (format!("({} - {})", a.latex, b.latex), both.map(|(x, y)| x - y)),
                2 => (format!("({} \\cdot {})", a.latex, b.latex), both.map(|(x, y)| x * y)),
                3 => (
                    format!("\\frac{{{}}}{{{}}}", a.latex, b.latex),
                    both.filter(|(_, y)| !y.is_zero()).map(|(x, y)| x / y),
                ),
                _ => (format!("{{({})}}^2", a.latex), a.value.map(|x| &x * &x)),
            };
            Sample { latex, value }
        })
    })
}

/// A polynomial in x and y as a list of terms.
fn terms() -> impl Strategy<Value = Vec<(i64, u32, u32)>> {
    prop::collection::vec((1_i64..30, 0_u32..4, 0_u32..3), 1..6)
}

fn polynomial(terms: &[(i64, u32, u32)]) -> String {
    let term = |(c, a, b): &(i64, u32, u32)| format!("{c}x^{{{a}}}y^{{{b}}}");
    terms.iter().map(term).collect::<Vec<_>>().join(" + ")
}

fn exact(value: &BigRational) -> String {
    format!("\\frac{{{}}}{{{}}}", value.numer(), value.denom())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_the_rational_oracle(a in expression(), b in expression()) {
        if let (Some(x), Some(y)) = (a.value, b.value) {
            let expected = if x == y { Verdict::Equal } else { Verdict::Different };
            prop_assert_eq!(verdict(&a.latex, &b.latex), expected);
            prop_assert_eq!(verdict(&exact(&x), &a.latex), Verdict::Equal);
            prop_assert_eq!(verdict(&a.latex, &exact(&(x + BigInt::from(1)))), Verdict::Different);
        }
    }

    #[test]
    fn verdicts_on_values_are_symmetric(a in expression(), b in expression()) {
        // By design, an undefined reference is undecided and an undefined answer is different.
        prop_assume!(a.value.is_some() == b.value.is_some());
        prop_assert_eq!(verdict(&a.latex, &b.latex), verdict(&b.latex, &a.latex));
    }

    #[test]
    fn layout_does_not_matter(a in expression(), b in expression()) {
        let relaid = b.latex.replace("\\frac", "\\dfrac").replace('(', "\\left( ").replace(')', " \\right)").replace(" + ", "\\; + \\,");
        prop_assert_eq!(verdict(&a.latex, &b.latex), verdict(&a.latex, &relaid));
        prop_assert_eq!(verdict(&a.latex, &b.latex), verdict(&a.latex, &format!("${}$", b.latex)));
    }

    #[test]
    fn order_of_terms_does_not_matter(terms in terms(), turn in 0_usize..6) {
        let mut other = terms.clone();
        other.rotate_left(turn % terms.len());
        other.reverse();
        prop_assert_eq!(verdict(&polynomial(&terms), &polynomial(&other)), Verdict::Equal);
    }

    #[test]
    fn plus_one_is_different(mut terms in terms(), at in 0_usize..6) {
        let gold = polynomial(&terms);
        let at = at % terms.len();
        terms[at].0 += 1;
        prop_assert_eq!(verdict(&gold, &polynomial(&terms)), Verdict::Different);
    }

    #[test]
    fn multiplied_equations_are_equal(terms in terms(), scale in 2_i64..50) {
        let scaled: Vec<_> = terms.iter().map(|(c, a, b)| (c * scale, *a, *b)).collect();
        let gold = format!("{} + x = 7", polynomial(&terms));
        let answer = format!("{} + {scale}x = {}", polynomial(&scaled), 7 * scale);
        let other = format!("{} + {scale}x = {}", polynomial(&scaled), 7 * scale + 1);
        prop_assert_eq!(verdict(&gold, &answer), Verdict::Equal);
        prop_assert_eq!(verdict(&gold, &other), Verdict::Different);
    }

    #[test]
    fn inequalities_flip_with_a_negative_factor(n in -40_i64..40, scale in 2_i64..20) {
        let gold = format!("x < {n}");
        let flipped = format!("-{scale}x > {}", -n * scale);
        let kept = format!("-{scale}x < {}", -n * scale);
        prop_assert_eq!(verdict(&gold, &flipped), Verdict::Equal);
        prop_assert_eq!(verdict(&gold, &kept), Verdict::Different);
        prop_assert_eq!(verdict(&gold, &format!("(-\\infty, {n})")), Verdict::Equal);
        prop_assert_eq!(verdict(&gold, &format!("(-\\infty, {}]", n)), Verdict::Different);
    }

    #[test]
    fn sets_ignore_order_and_tuples_do_not(mut items in prop::collection::vec(-50_i64..50, 2..7)) {
        let join = |items: &[i64]| items.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let gold = join(&items);
        let straight = items.clone();
        items.reverse();
        let reversed = join(&items);
        prop_assert_eq!(verdict(&format!("\\{{{gold}\\}}"), &format!("\\{{{reversed}\\}}")), Verdict::Equal);
        let expected = if straight == items { Verdict::Equal } else { Verdict::Different };
        prop_assert_eq!(verdict(&format!("({gold})"), &format!("({reversed})")), expected);
    }

    #[test]
    fn surds_agree_with_their_squares(a in 1_i64..60, b in 1_i64..60) {
        let product = format!("\\sqrt{{{a}}}\\sqrt{{{b}}}");
        prop_assert_eq!(verdict(&product, &format!("\\sqrt{{{}}}", a * b)), Verdict::Equal);
        prop_assert_eq!(verdict(&product, &format!("\\sqrt{{{}}}", a * b + 1)), Verdict::Different);
    }
}
