"""Writes rows of published layouts, our own questions in the columns of the Hugging Face hub, as JSON
lines and as Parquet with the hub's types. Run in this folder; needs pyarrow."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

TEXT, INT, LONG = pa.string(), pa.int32(), pa.int64()
TEXTS = pa.list_(TEXT)
TURNS = pa.list_(pa.struct({"content": TEXT, "role": TEXT}))
ARC = pa.struct({"text": TEXTS, "label": TEXTS})
LETTERS = pa.struct({"A": TEXT, "B": TEXT, "C": TEXT, "D": TEXT, "E": TEXT})
CLASS = pa.dictionary(pa.int32(), TEXT)

FRAME = (
    "Solve the following math problem step by step. The last line of your response should be of the form "
    "Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n{}\n\n"
    'Remember to put your answer on its own line after "Answer:".'
)

SETS = {
    "gsm8k": ({"question": TEXT, "answer": TEXT}, [
        {"question": "Ann picks 3 pears and Ben twice as many. How many pears do they pick?",
         "answer": "Ben picks 2*3=<<2*3=6>>6 pears.\nTogether they pick 3+6=<<3+6=9>>9.\n#### 9"},
    ]),
    "math": ({"problem": TEXT, "level": TEXT, "type": TEXT, "solution": TEXT}, [
        {"problem": "What is $\\frac{1}{2}+\\frac{1}{4}$?", "level": "Level 1", "type": "Prealgebra",
         "solution": "The sum is $\\boxed{\\frac{3}{4}}$."},
    ]),
    "math500": ({"problem": TEXT, "solution": TEXT, "answer": TEXT, "subject": TEXT, "level": LONG, "unique_id": TEXT}, [
        {"problem": "Find $x$ if $2x=7$.", "solution": "Halving gives $\\boxed{\\frac{7}{2}}$.", "answer": "\\frac{7}{2}",
         "subject": "Algebra", "level": 2, "unique_id": "test/own/1.json"},
    ]),
    "arc": ({"id": TEXT, "question": TEXT, "choices": ARC, "answerKey": TEXT}, [
        {"id": "OWN_1", "question": "Which rock forms from layers of sand?", "answerKey": "2",
         "choices": {"text": ["igneous", "sedimentary", "metamorphic"], "label": ["1", "2", "3"]}},
        {"id": "OWN_2", "question": "Which planet is closest to the Sun?", "answerKey": "A",
         "choices": {"text": ["Mercury", "Mars"], "label": ["A", "B"]}},
    ]),
    "openbookqa": ({"id": TEXT, "question_stem": TEXT, "choices": ARC, "answerKey": TEXT}, [
        {"id": "7-980", "question_stem": "A lamp turns electricity into", "answerKey": "C",
         "choices": {"text": ["sound", "food", "light", "motion"], "label": ["A", "B", "C", "D"]}},
    ]),
    "commonsenseqa": ({"id": TEXT, "question": TEXT, "question_concept": TEXT, "choices": ARC, "answerKey": TEXT}, [
        {"id": "own1", "question": "Where would you keep milk?", "question_concept": "milk", "answerKey": "B",
         "choices": {"label": ["A", "B", "C", "D", "E"], "text": ["shelf", "fridge", "drawer", "car", "roof"]}},
        {"id": "own2", "question": "Where would you find a whale?", "question_concept": "whale", "answerKey": "",
         "choices": {"label": ["A", "B", "C", "D", "E"], "text": ["sea", "tree", "cup", "attic", "desert"]}},
    ]),
    "sciq": ({"question": TEXT, "distractor3": TEXT, "distractor1": TEXT, "distractor2": TEXT, "correct_answer": TEXT, "support": TEXT}, [
        {"question": "What metal rusts?", "distractor3": "gold", "distractor1": "tin", "distractor2": "zinc",
         "correct_answer": "iron", "support": "Iron rusts in wet air."},
    ]),
    "aqua": ({"question": TEXT, "options": TEXTS, "rationale": TEXT, "correct": TEXT}, [
        {"question": "A train covers 60 km in 40 minutes. What is its speed in km/h?",
         "options": ["A)60", "B)80", "C)90", "D)100", "E)120"], "rationale": "60 / (2/3) = 90. Answer: C", "correct": "C"},
    ]),
    "mmlu": ({"question": TEXT, "subject": TEXT, "choices": TEXTS, "answer": LONG}, [
        {"question": "How many sides has a triangle?", "subject": "own", "choices": ["1", "2", "3", "4"], "answer": 2},
        {"question": "Which gas do plants take in?", "subject": "own",
         "choices": ["oxygen", "carbon dioxide", "nitrogen", "helium"], "answer": 1},
    ]),
    "mmlu_pro": ({"question_id": LONG, "question": TEXT, "options": TEXTS, "answer": TEXT, "answer_index": LONG,
                  "cot_content": TEXT, "category": TEXT, "src": TEXT}, [
        {"question_id": 70, "question": "What is 5 times 6?", "answer": "I", "answer_index": 8, "cot_content": "",
         "options": ["10", "11", "15", "20", "25", "26", "28", "29", "30", "31"], "category": "math", "src": "own"},
    ]),
    "medqa": ({"question": TEXT, "answer": TEXT, "options": LETTERS, "meta_info": TEXT, "answer_idx": TEXT,
               "metamap_phrases": TEXTS}, [
        {"question": "Which vitamin does skin make in sunlight?", "answer": "Vitamin D", "answer_idx": "D",
         "options": {"A": "Vitamin A", "B": "Vitamin B12", "C": "Vitamin C", "D": "Vitamin D", "E": None},
         "meta_info": "step1", "metamap_phrases": ["skin", "sunlight"]},
    ]),
    "gpqa": ({"Pre-Revision Question": TEXT, "Question": TEXT, "Correct Answer": TEXT, "Incorrect Answer 1": TEXT,
              "Incorrect Answer 2": TEXT, "Incorrect Answer 3": TEXT, "Explanation": TEXT, "Subdomain": TEXT,
              "High-level domain": TEXT, "Writer's Difficulty Estimate": TEXT, "Record ID": TEXT}, [
        {"Pre-Revision Question": "Which force holds planets?", "Question": "Which force holds planets in their orbits?",
         "Correct Answer": "gravity", "Incorrect Answer 1": "friction", "Incorrect Answer 2": "magnetism",
         "Incorrect Answer 3": "drag", "Explanation": "Newton.", "Subdomain": "Mechanics", "High-level domain": "Physics",
         "Writer's Difficulty Estimate": "Easy", "Record ID": "recOwn1"},
    ]),
    "aime_capital": ({"ID": TEXT, "Problem": TEXT, "Solution": TEXT, "Answer": LONG}, [
        {"ID": "2026-I-1", "Problem": "Find the least prime above 200.", "Solution": "It is 211.", "Answer": 211},
    ]),
    "aime": ({"id": LONG, "problem": TEXT, "solution": TEXT, "answer": TEXT, "url": TEXT, "year": TEXT}, [
        {"id": 60, "problem": "Find $17^2$.", "solution": "It is $\\boxed{289}$.", "answer": "289", "url": "own", "year": "2026"},
    ]),
    "numinamath": ({"source": TEXT, "problem": TEXT, "solution": TEXT, "messages": TURNS}, [
        {"source": "own", "problem": "Solve $x^2=9$ for $x>0$.", "solution": "So $\\boxed{3}$.",
         "messages": [{"content": "Solve $x^2=9$ for $x>0$.", "role": "user"}, {"content": "So $\\boxed{3}$.", "role": "assistant"}]},
    ]),
    "svamp": ({"ID": TEXT, "Body": TEXT, "Question": TEXT, "Equation": TEXT, "Answer": TEXT, "Type": CLASS, "question_concat": TEXT}, [
        {"ID": "own-1", "Body": "Eve had 7 books and gave 2 away.", "Question": "How many books has Eve now?",
         "Equation": "( 7.0 - 2.0 )", "Answer": "5.0", "Type": "Subtraction",
         "question_concat": "Eve had 7 books and gave 2 away. How many books has Eve now?"},
    ]),
    "asdiv": ({"body": TEXT, "question": TEXT, "solution_type": TEXT, "answer": TEXT, "formula": TEXT}, [
        {"body": "A vase holds 4 roses.", "question": "How many roses do 3 vases hold?",
         "solution_type": "Multiplication", "answer": "12 (roses)", "formula": "4*3=12"},
    ]),
    "mawps": ({"Question": TEXT, "Numbers": TEXT, "Equation": TEXT, "Answer": pa.float64()}, [
        {"Question": "Tom has N_00 marbles and buys N_01 more . How many has he ?", "Numbers": "12.0 3.5",
         "Equation": "+ N_00 N_01", "Answer": 15.5},
    ]),
    "multiarith": ({"question": TEXT, "final_ans": TEXT}, [
        {"question": "Six bags hold 4 apples each. How many apples are there?", "final_ans": "24"},
    ]),
    "hellaswag": ({"ind": INT, "activity_label": TEXT, "ctx_a": TEXT, "ctx_b": TEXT, "ctx": TEXT, "endings": TEXTS,
                   "source_id": TEXT, "split": TEXT, "split_type": TEXT, "label": TEXT}, [
        {"ind": 4, "activity_label": "Baking bread", "ctx_a": "A baker kneads the dough.", "ctx_b": "he",
         "ctx": "A baker kneads the dough. he", "endings": ["paints it.", "lets it rise.", "drives it.", "sings it."],
         "source_id": "own~1", "split": "val", "split_type": "indomain", "label": "1"},
    ]),
    "piqa": ({"goal": TEXT, "sol1": TEXT, "sol2": TEXT, "label": LONG}, [
        {"goal": "To dry wet shoes,", "sol1": "stuff them with paper.", "sol2": "fill them with water.", "label": 0},
        {"goal": "To open a jar,", "sol1": "heat the lid.", "sol2": "cool the lid.", "label": -1},
    ]),
    "truthfulqa": ({"question": TEXT, "mc1_targets": pa.struct({"choices": TEXTS, "labels": pa.list_(INT)}),
                    "mc2_targets": pa.struct({"choices": TEXTS, "labels": pa.list_(INT)})}, [
        {"question": "What colour is the daytime sky?", "mc1_targets": {"choices": ["Blue", "Green"], "labels": [1, 0]},
         "mc2_targets": {"choices": ["Blue", "Azure", "Green"], "labels": [1, 1, 0]}},
    ]),
    "olympiadbench": ({"id": LONG, "question": TEXT, "solution": TEXTS, "final_answer": TEXTS, "context": TEXT,
                       "image_1": pa.struct({"bytes": pa.binary(), "path": TEXT}), "modality": TEXT, "difficulty": TEXT,
                       "is_multiple_answer": pa.bool_(), "unit": TEXT, "answer_type": TEXT, "error": TEXT,
                       "question_type": TEXT, "subfield": TEXT, "subject": TEXT, "language": TEXT}, [
        {"id": 1606, "question": "How far does it roll?", "solution": ["It rolls 3 m."], "final_answer": ["$3$"],
         "context": "A ball rolls at 1 m/s for 3 s.", "image_1": None, "modality": "Text-only", "difficulty": "Competition",
         "is_multiple_answer": False, "unit": "m", "answer_type": "Numerical", "error": None,
         "question_type": "Open-ended", "subfield": "Mechanics", "subject": "Physics", "language": "English"},
    ]),
    "dapo": ({"data_source": TEXT, "prompt": TURNS, "ability": TEXT,
              "reward_model": pa.struct({"ground_truth": TEXT, "style": TEXT}), "extra_info": pa.struct({"index": TEXT})}, [
        {"data_source": "math_dapo", "prompt": [{"content": FRAME.format("Find the sum of $1$ to $8$."), "role": "user"}],
         "ability": "MATH", "reward_model": {"ground_truth": "36", "style": "rule-lighteval/MATH_v2"},
         "extra_info": {"index": "own-1"}},
    ]),
}

CODECS = ["snappy", "zstd", "gzip", "none"]

for place, (name, (schema, rows)) in enumerate(SETS.items()):
    with open(f"{name}.jsonl", "w") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    # Every second file uses Arrow's large strings, which newer versions of `datasets` write.
    types = {key: pa.large_string() if place % 2 and kind == TEXT else kind for key, kind in schema.items()}
    table = pa.Table.from_pylist(rows, schema=pa.schema(types))
    pq.write_table(table, f"{name}.parquet", compression=CODECS[place % len(CODECS)])
