r"""Writes chats in many templates, rendered and tokenised by transformers.

Usage, from the workspace root (the environment of parity.py):

    venv/bin/python benches/peers/templates.py policy/tests/golden/templates.json

The file contains tokenizers, templates, messages and the ids of `apply_chat_template`; the test in
policy/tests/it/templates.rs reads the same folders. Templates and messages are our own.
"""

import json
import pathlib
import sys
import tempfile

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

SPECIAL = ["<s>", "</s>", "<|turn|>", "<|end|>", "<pad>"]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
OTHERS = " \n\t.,:;!?'\"()[]{}<>/|+-*=_&%#\\~^$@`"


def byte_level() -> Tokenizer:
    """One token per byte, as in GPT-2's family, without BOS and EOS around a text."""
    names = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {name: id for id, name in enumerate(SPECIAL[2:] + names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def framed() -> Tokenizer:
    """Spaces as underlines, with one added before a text, as in Llama 2's family; BOS around a text."""
    names = ["<unk>", "\u2581", "\u2581a", "he"] + list(LETTERS + OTHERS[1:])
    vocab = {name: id for id, name in enumerate(SPECIAL + names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[("\u2581", "a"), ("h", "e")],
                                     unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocab["<s>"])])
    return tokenizer


TOKENIZERS = {"bytes": byte_level(), "framed": framed()}
NAMED = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
TURN = "{{ '<|turn|>' + m.role + '\\n' + m.content + '<|end|>\\n' }}"
TURNS = "{% for m in messages %}" + TURN + "{% endfor %}"
OPEN = "{% if add_generation_prompt %}{{ '<|turn|>assistant\\n' }}{% endif %}"

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  What is 1 + 1? \n"},
    {"role": "assistant", "content": "<think>\nadd\n</think>\n\nTwo."},
    {"role": "user", "content": "And <|end|> \u00e9 \"x\" & 'y'?"},
]
SHORT = TALK[1:2]

TEMPLATES = {
    "BOS at the start": "{{ bos_token }}" + TURNS + OPEN,
    "BOS in every turn": "{% for m in messages %}{% if m.role == 'user' %}"
    "{{ bos_token + '[I] ' + m.content + ' [/I]' }}{% else %}{{ ' ' + m.content + ' ' + eos_token }}"
    "{% endif %}{% endfor %}",
    "BOS in a branch that is not taken": "{% if tools %}{{ bos_token }}{% endif %}" + TURNS + OPEN,
    "BOS not at the start": "{{ 'SYS\\n' }}{{ bos_token }}" + TURNS + OPEN,
    "BOS after blanks": " {{- bos_token }} " + TURNS,
    "BOS written out": "<s>" + TURNS + OPEN,
    "BOS twice": "{{ bos_token }}{{ bos_token }}" + TURNS,
    "tools and documents are none": "{% if tools is not none %}T{% endif %}{% if documents is none %}D"
    "{% endif %}{% if tools is defined %}d{% endif %}{% if documents %}x{% endif %}" + TURNS,
    "marks of the assistant's text": "{% set n = 1 %}{% for m in messages %}<|turn|>"
    "{% generation %}{% set n = n + 1 %}{{ m.content }}{{ n }}{% endgeneration %}\n{% endfor %}{{ n }}",
    "places in a loop": "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
    "{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.cycle('a', 'b') }}"
    "{{ loop.previtem.role if loop.previtem is defined }}{{ loop.nextitem.role if not loop.last else 'none' }}"
    "{{ loop.changed(m.role) }}{{ loop.depth }};{% endfor %}",
    "namespace, break and continue": "{% set ns = namespace(last=none, n=0) %}{% for m in messages %}"
    "{% if m.role == 'system' %}{% continue %}{% endif %}{% set ns.n = ns.n + 1 %}"
    "{% if ns.n > 2 %}{% break %}{% endif %}{% set ns.last = m.content %}{% endfor %}"
    "{{ ns.last }}{{ ns.n }}",
    "loops that filter and are empty": "{% for m in messages if m.role == 'tool' %}{{ m }}{% else %}none"
    "{% endfor %}{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.role }}{% endfor %}",
    "slices": "{% for m in messages[1:] %}{{ m.content[:3] }}|{% endfor %}{{ messages[-1].role }}"
    "{{ messages[::-1][0].role }}{{ messages[0].content[-3:] }}{{ messages[0]['content'][0] }}"
    "{{ messages[:-1] | length }}",
    "tojson": "{% for m in messages %}{{ m | tojson }}{% endfor %}"
    "{{ {'a': [1, 2.5, true, none, '<&>\\'\\u00e9']} | tojson }}"
    "{{ {'b': {'c': [1, {}]}, 'e': []} | tojson(indent=2) }}"
    "{{ {'z': 1, 'a': '\\u00e9'} | tojson(sort_keys=true, ensure_ascii=true) }}"
    "{{ [1, 2] | tojson(separators=(',', ':')) }}",
    "values as Python prints them": "{{ none }}{{ true }}{{ 1.0 }}{{ 3 / 2 }}{{ 7 // 2 }}{{ 2 ** 3 }}"
    "{{ [1, 'a', none] }}{{ {'k': 'v'} }}{{ (1, 2) }}{{ 'it\\'s' }}{{ ['it\\'s'] }}{{ 7 % 4 }}",
    "dictionaries": "{% set d = {'x': 1, 'y': 2} %}{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}"
    "{{ d.get('z', 'no') }}{{ d.keys() | list | join(',') }}{{ d.values() | list }}{{ 'x' in d }}"
    "{% for k, v in d | items %}{{ k }}{% endfor %}{{ d | length }}{{ dict(a=1).a }}"
    "{% for k, v in d | dictsort %}{{ k }}{% endfor %}",
    "methods of strings": "{% set c = messages[-1].content %}{{ c.strip() }}{{ c.upper() }}"
    "{{ c.startswith('And') }}{{ c.endswith(('?', '!')) }}{{ c.split(' ')[0] }}{{ c.replace('x', 'z') }}"
    "{{ c.lstrip('An') }}{{ c.rstrip('?') }}{{ c.title() }}{{ c.find('x') }}{{ c.count('d') }}"
    "{{ c.removeprefix('And') }}{{ c.removesuffix('?') }}{{ c.partition(' ')[2] }}"
    "{{ c.rpartition(' ')[0] }}{{ c.rsplit(' ', 1)[1] }}{{ c.index('d') }}{{ c.capitalize() }}"
    "{{ ' '.join(['a', 'b']) }}{{ '{}-{}'.format(1, 'b') }}{{ 'abc'.isalpha() }}",
    "thoughts are cut off": "{% for m in messages %}{% set c = m.content %}{% if '</think>' in c %}"
    "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}<|turn|>{{ c }}<|end|>{% endfor %}",
    "filters": "{% set c = messages[1].content %}{{ c | trim }}{{ c | length }}{{ c | upper | lower }}"
    "{{ messages | map(attribute='role') | join(', ') }}{{ messages | selectattr('role', 'equalto', 'user')"
    " | list | length }}{{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | list }}"
    "{{ (messages | first).role }}{{ (messages | last).role }}{{ missing | default('d') }}"
    "{{ none | default('d', true) }}{{ [3, 1, 2] | sort | join }}{{ [1, 1, 2] | unique | list }}"
    "{{ 'a b' | replace(' ', '_') }}{{ 'ab' | capitalize }}{{ '3' | int + 1 }}{{ 2.567 | round(1) }}"
    "{{ 'x\\ny' | indent(2) }}{{ [1, 2] | string }}{{ [1, 2, 3] | sum }}{{ 'ab' | list }}"
    "{{ [1, 2, 3] | reverse | list }}{{ [1, 2] | max }}{{ 'a' | safe }}{{ '%d' | format(3) }}",
    "tests": "{% set m = messages[0] %}{{ m.content is string }}{{ m is mapping }}{{ messages is iterable }}"
    "{{ messages is sequence }}{{ m.content is mapping }}{{ m.x is defined }}{{ m['x'] is undefined }}"
    "{{ none is none }}{{ 3 is odd }}{{ 4 is divisibleby 2 }}{{ true is sameas true }}{{ 1 is number }}"
    "{{ true is boolean }}{{ 1 is integer }}{{ 1.5 is float }}{{ m.content is not none }}{{ 'a' is in 'ab' }}"
    "{{ false is false }}{{ 1 is eq 1 }}{{ 'a' is lower }}",
    "what can be iterated": "{% for v in [none, 1, 1.5, true, 'a', [], {}, missing, messages, range(2)] %}"
    "{{ v is iterable }} {{ v is sequence }} {{ v is mapping }}, {% endfor %}"
    "{% if tools is iterable and tools | length > 0 %}tools{% endif %}",
    "the order of keys": "{% set d = {'role': 1, 'content': 2, 'arguments': {'z': 1, 'b': 2, 'a': 3}} %}"
    "{{ d | tojson }}{{ d }}{{ d.keys() | list }}{{ d.values() | list }}{{ d | list }}"
    "{% for k, v in d.items() %}{{ k }}={{ v }} {% endfor %}{% for k, v in d | items %}{{ k }}{% endfor %}"
    "{{ messages[0] | tojson }}",
    "what is missing": "{{ missing }}{{ messages[0].missing }}{{ messages[0]['missing'] or 'or' }}"
    "{{ 'x' if missing }}{{ missing is defined and missing }}{% if not missing %}not{% endif %}",
    "macros and blocks": "{% macro turn(m, end='<|end|>') %}<|turn|>{{ m.role }}{{ end }}{% endmacro %}"
    "{% for m in messages %}{{ turn(m) }}{{ turn(m, end='!') }}{% endfor %}"
    "{% set text %}a{{ messages | length }}{% endset %}{{ text | upper }}"
    "{% filter upper %}b{% endfilter %}{% with x = 1 %}{{ x }}{% endwith %}{% raw %}{{ r }}{% endraw %}"
    "{% macro around() %}[{{ caller() }}]{% endmacro %}{% call around() %}c{% endcall %}",
    "white space": "\n  {# none #}\n{%- for m in messages %}\n    {%- if true -%}\n {{- m.role }} \n"
    "    {%- endif %}\n  {% if loop.last %}\n last\n  {% endif %}\n{% endfor %}\n tail\n",
    "a last line break": TURNS + "{{ 'end' }}\n",
    "two last line breaks": TURNS + "end\n\n",
    "roles must alternate": "{% for m in messages if m.role != 'system' %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}"
    "{{ m.role }}{% endfor %}",
    "a refusal": "{% if messages[0].role != 'tool' %}{{ raise_exception('only tools') }}{% endif %}",
    "a refusal that is not reached": "{% if messages[0].role == 'tool' %}{{ raise_exception('no') }}"
    "{% endif %}{% if strftime_now is defined %}s{% endif %}" + TURNS,
    "all special tokens": "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token }}"
    "{{ sep_token is defined }}{{ cls_token }}",
    "lists": "{% set a = [1, 2] + [3] %}{{ a }}{{ a[0] }}{{ 2 in a }}{{ a | length }}{{ range(3) | list }}"
    "{% set b = a[1:] %}{{ b }}{{ [[1, 2], [3]] }}{{ 'a' ~ 1 ~ true ~ none }}{{ 'ab' * 2 }}",
    "keys but some": "{% set done = ['role'] %}{% for m in messages %}"
    "{% for k in m.keys() | reject('in', done) %}{{ k }}{% endfor %}{% endfor %}{{ missing | upper }}"
    "{{ missing | length }}{{ missing | join }}{{ messages | map(attribute='x') | select | list }}",
    "turns inside macros": "{% macro say(m) -%}{%- if m.content is string -%}{{- m.content -}}"
    "{%- else -%}{%- for p in m.content -%}{{- p.text -}}{%- endfor -%}{%- endif -%}{%- endmacro -%}"
    "{% set ns = namespace(first=true, text='') %}{% for m in messages %}{% if ns.first %}"
    "{% set ns.first = false %}{{ bos_token }}{% endif %}{% set ns.text = ns.text + say(m) + '|' %}"
    "{% endfor %}{{ ns.text }}",
    "lines of a file": "{#- a note\n   of two lines -#}\n{%- set last = messages | length - 1 %}\n"
    "{%- for m in messages %}\n    {%- if m.role == 'assistant' and not loop.last %}\n"
    "        {{- '<|turn|>' + m.role }}\n    {%- elif m.role in ['user', 'system'] %}\n"
    "<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n    {%- endif %}\n{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n    {{- '<|turn|>assistant\n' }}\n{%- endif %}\n",
    "the first message is the system's": "{% if messages[0]['role'] == 'system' %}"
    "{% set rest = messages[1:] %}{% set system = messages[0]['content'].strip() + '\\n\\n' %}{% else %}"
    "{% set rest = messages %}{% set system = '' %}{% endif %}{% for m in rest %}"
    "{{ bos_token + 'I ' + (system if loop.index0 == 0 else '') + m['content'] | trim + ' /I' }}{% endfor %}",
}
CONFIGS = {
    "named": NAMED,
    "no BOS": {"bos_token": None, "eos_token": "</s>", "pad_token": "<pad>"},
    "as objects": {
        name: {"content": text, "lstrip": False, "rstrip": False, "normalized": False,
               "single_word": False, "special": True, "__type": "AddedToken"}
        for name, text in NAMED.items()
    },
    "asked to add BOS": {**NAMED, "add_bos_token": True, "add_eos_token": True},
}


def rendered(tokenizer, messages: list, opened: bool):
    try:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=opened, tokenize=True,
                                            return_dict=False)
        return list(ids)
    except Exception as error:  # any error in a template counts as a refusal
        return {"error": type(error).__name__ + ": " + str(error)[:80]}


def main() -> None:
    rows = []
    for kind, tokenizer in TOKENIZERS.items():
        for config_name, config in CONFIGS.items():
            for name, template in TEMPLATES.items():
                if config_name != "named" and "BOS" not in name and "special" not in name:
                    continue
                if kind == "framed" and config_name == "named" and "BOS" not in name:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder)
                    tokenizer.save(str(path / "tokenizer.json"))
                    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
                    (path / "tokenizer_config.json").write_text(json.dumps(settings))
                    (path / "chat_template.jinja").write_text(template)
                    read = AutoTokenizer.from_pretrained(folder)
                    talks = [(TALK, True), (SHORT, False)]
                    rows.append({
                        "name": f"{name} ({kind}, {config_name})", "tokenizer": kind,
                        "config": config, "template": template,
                        "ids": [rendered(read, *talk) for talk in talks],
                    })
    golden = {
        "tokenizers": {kind: json.loads(t.to_str()) for kind, t in TOKENIZERS.items()},
        "talks": [TALK, SHORT],
    }
    head = json.dumps(golden, ensure_ascii=True)[:-1]
    body = ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
    pathlib.Path(sys.argv[1]).write_text(f'{head}, "rows": [\n{body}\n]}}\n')
    print(len(rows), "rows")


if __name__ == "__main__":
    main()
