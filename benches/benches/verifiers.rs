//! Answers verified per second, extraction included, for every table of test cases and for JSON lines in
//! and out.
//!
//! The tables are those of the verifiers crate's tests. That crate's `examples/throughput` also prints
//! percentiles, and `peers/math_verify_speed.py` measures the ratio to Math-Verify in one run.

#[path = "../../verifiers/tests/it/table.rs"]
mod table;

use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use regrowth_verifiers::{Grader, equations, verify_jsonl};

/// The folder of the tables.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifiers/tests/cases");

fn grade(c: &mut Criterion) {
    let mut group = c.benchmark_group("grade");
    for (name, rows) in table::tables(Path::new(TABLES)) {
        group.throughput(Throughput::Elements(rows.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &rows, |b, rows| {
            b.iter(|| rows.iter().filter(|row| row.grade().1).count());
        });
    }
    group.finish();
}

fn json_lines(c: &mut Criterion) {
    let input = std::fs::read(format!("{TABLES}/stated.jsonl")).expect("the table is there");
    let lines = input.iter().filter(|byte| **byte == b'\n').count();
    let mut group = c.benchmark_group("json lines");
    group.throughput(Throughput::Elements(lines as u64));
    for threads in [1, 2] {
        group.bench_with_input(BenchmarkId::new("threads", threads), &threads, |b, threads| {
            b.iter(|| {
                verify_jsonl(&Grader::default(), &*input, std::io::sink(), *threads)
                    .expect("every row is one")
            });
        });
    }
    group.finish();
}

fn calculator(c: &mut Criterion) {
    let step = "Each week she earns 12*14 = <<12*14=168>>168 dollars, so 168 - 30 = 138 are left.";
    let mut group = c.benchmark_group("calculator");
    group.throughput(Throughput::Bytes(step.len() as u64));
    group.bench_function("step", |b| b.iter(|| equations(step)));
    group.finish();
}

criterion_group!(verifiers, grade, json_lines, calculator);
criterion_main!(verifiers);
