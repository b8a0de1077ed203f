"""Files of records as people have them: read, or refused with line, reason and remedy."""

import bz2
import gzip
import json
import lzma
import os
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import says, telling

from dsi_core.data.files import Reading, called, read_file, records
from dsi_core.settings.schema import Quotes

RECORDS = [{"q": "Où ?", "a": "là"}, {"q": "鍵", "a": "🔑"}]
LINES = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in RECORDS)
LIST = json.dumps(RECORDS, ensure_ascii=False, indent=1)
TABLE = "q,a\nOù ?,là\n鍵,🔑\n"
TABS = TABLE.replace(",", "\t")


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    ("name", "content"), [("d.jsonl", LINES), ("d.json", LIST), ("d.csv", TABLE), ("d.tsv", TABS)]
)
def test_byte_order_marks(tmp_path, encoding, name, content):
    assert read_file(write(tmp_path / name, content.encode(encoding))) == RECORDS
    big = write(tmp_path / f"big-{name}", b"\xfe\xff" + content.encode("utf-16-be"))
    assert read_file(big) == RECORDS


PACKED = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize(
    ("name", "content"), [("d.jsonl", LINES), ("d.json", LIST), ("d.csv", TABLE), ("d.tsv", TABS)]
)
def test_packed_files(tmp_path, ending, name, content):
    packed = PACKED[ending](content.encode())
    assert read_file(write(tmp_path / f"{name}{ending}", packed)) == RECORDS
    assert read_file(write(tmp_path / name, packed)) == RECORDS  # known by its first bytes


def test_a_file_that_ends_too_early_is_no_shorter_dataset(tmp_path):
    cut = gzip.compress((LINES * 500).encode())[:-30]
    with pytest.raises(ValueError) as error:
        read_file(write(tmp_path / "d.jsonl.gz", cut))
    says(error, "d.jsonl.gz: cannot be read as json", "ended before")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.json", LINES),
        ("list.jsonl", LIST),
        ("pretty.jsonl", "\n".join(json.dumps(r, indent=2) for r in RECORDS)),
        ("beside.ndjson", LINES.replace("\n", " ")),
        ("windows.jsonl", LINES.replace("\n", "\r\n")),
        ("old_mac.jsonl", LINES.replace("\n", "\r")),
        ("loud.JSONL", "\n\n" + LINES + "\n\n"),
        ("windows.csv", TABLE.replace("\n", "\r\n")),
        ("old_mac.CSV", TABLE.replace("\n", "\r")),
        ("blank.csv", "\n" + TABLE.replace("\n", "\n  \n")),
        ("semicolons.csv", TABLE.replace(",", ";")),
        ("bars.csv", TABLE.replace(",", "|")),
        ("excel.csv", "sep=;\n" + TABLE.replace(",", ";")),
        ("spaced.csv", 'q, a\nOù ?, "là"\n鍵, 🔑\n'),
        ("list.yaml", "- q: Où ?\n  a: là\n- q: 鍵\n  a: 🔑\n"),
    ],
)
def test_json_by_content_and_tables_by_their_separator(tmp_path, name, content):
    assert read_file(write(tmp_path / name, content)) == RECORDS


def test_separators_within_texts_are_text(tmp_path):
    german = "Frage;Antwort\nWas, bitte?;Ja, das, eben.\nUnd, oder?;Nein.\n"
    found = read_file(write(tmp_path / "d.csv", german))
    assert found[0] == {"Frage": "Was, bitte?", "Antwort": "Ja, das, eben."}
    assert len(found) == 2


def test_parquet_is_read_by_its_content_with_lists_as_lists(tmp_path):
    turns = [[{"role": "user", "content": "a"}], None]
    pq.write_table(pa.table({"messages": turns, "n": [1, None]}), tmp_path / "d.jsonl")
    assert read_file(tmp_path / "d.jsonl") == [
        {"messages": turns[0], "n": 1},
        {"messages": None, "n": None},
    ]


def test_records_come_one_by_one(tmp_path):
    rows = records(write(tmp_path / "d.json", "[" + '{"q": 1},' * 120_000 + "broken"))
    assert next(rows) == {"q": 1}  # what follows a megabyte later is not looked at yet
    with pytest.raises(ValueError, match="line 1: not valid JSON"):
        list(rows)


def test_values_longer_than_what_is_read_at_once(tmp_path):
    long = [{"q": "x" * 2_500_000, "n": 12345678}, {"q": "y", "n": 1}]
    assert read_file(write(tmp_path / "d.json", json.dumps(long))) == long


@pytest.mark.parametrize("name", ["data", "rows", "train"])
def test_records_inside_the_only_object(tmp_path, name):
    path = write(tmp_path / "d.json", json.dumps({"version": 1, name: RECORDS}))
    with pytest.warns(UserWarning, match=f"its records are those of the field '{name}'"):
        assert read_file(path) == RECORDS
    with telling() as told:  # a file is read several times, and that is told once
        assert read_file(path) == RECORDS
    assert not told
    chat = {"messages": [{"role": "user", "content": "a"}]}
    assert read_file(write(path, json.dumps(chat))) == [chat]  # a record of its own


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Was kostet das Gerät für Jürgen? Es kostet 5 €."),
        ("cp1252", "was ist dürr?,fünf sechs"),  # so short that Big5 fits it as well
        ("gb18030", "今天天气怎么样？今天天气很好，适合出去玩。"),
        ("cp932", "今日の天気はどうですか。とても良いです。"),
        ("cp1251", "Сколько стоит билет на паром? Пять крон."),
        ("big5", "今天天氣怎麼樣？今天天氣很好，適合出去玩。"),
        ("cp949", "오늘 날씨 어때요? 아주 좋습니다."),
    ],
)
def test_other_encodings_are_named_and_then_read(tmp_path, encoding, text):
    path = write(tmp_path / "d.csv", f"q;a\nplain;plain\n{text};x\n".encode(encoding))
    with pytest.raises(ValueError) as error:
        read_file(path)
    says(error, "line 3: byte 0x", "offset", f"probably {encoding}", text[:20])
    says(error, f"--encoding {encoding} (in a profile encoding: {encoding})")
    assert read_file(path, Reading(encoding=encoding))[1] == {"q": text, "a": "x"}


def test_marks_of_a_word_processor_in_plain_text_are_those_of_windows(tmp_path):
    plain = "When did the ferry start? – “é”,It began in 1988 with two boats and one route. €\n"
    path = write(tmp_path / "d.csv", f"q,a\n{plain * 9}".encode("cp1252"))
    with pytest.raises(ValueError) as error:
        read_file(path)
    says(error, "line 2", "probably cp1252", "– “é”")


def test_where_a_wrong_byte_is_far_into_a_file(tmp_path):
    lines = b'{"q": "a", "a": "b"}\n' * 120_000
    path = write(tmp_path / "d.jsonl", lines + '{"q": "Café à Köln", "a": "é"}\n'.encode("cp1252"))
    with pytest.raises(ValueError) as error:
        list(records(path))
    says(error, "line 120001", f"offset {len(lines) + 10}", "cp1252", "Café à Köln")


WRONG = {  # name -> file, content, parts of the message
    "damaged UTF-8": ("d.jsonl", "é à è ù ô\n".encode() + b"\xe9\n", ["line 2", "damaged: mend"]),
    "UTF-16 without a mark": ("d.csv", "q,a\nb,c\n".encode("utf-16-le"), ["--encoding utf-16-le"]),
    "the other UTF-16": ("d.csv", "q,a\nb,c\n".encode("utf-16-be"), ["--encoding utf-16-be"]),
    "a zero": ("d.csv", "q,a\nb,c\0c\n", ["byte 7 is 0"]),
    "a late zero": ("d.csv", "q,a\n" + "b,c\n" * 3000 + "b,c\0\n", ["line 3002", "zero byte"]),
    "a name twice": ("d.jsonl", LINES + '{"q": 1, "q": 2}', ["line 3", "'q' is there twice"]),
    "a name twice, deep": ("d.json", '[{"t": [{"r": 1, "r": 2}]}]', ["line 1", "'r' is there"]),
    "a name twice, in YAML": ("d.yaml", "- q: 1\n  a: 2\n  a: 3\n", ["'a' is there", "line 3"]),
    "too deep, in YAML": ("d.yaml", "[" * 9000, ["d.yaml: cannot", "nested too deeply"]),
    "a comma too many": ("d.json", '[\n{"q": 1,\n"a": 2,}\n]', ["line 3", "comma before a clos"]),
    "one at the end": ("d.json", '[{"q": 1},\n]', ["line 2", "comma before the end"]),
    "commas between lines": ("d.jsonl", '{"q": 1},\n{"q": 2}', ["line 1", "comma between"]),
    "no comma": ("d.json", '[{"q": 1}\n{"q": 2}]', ["line 2", "needs a comma"]),
    "two lists": ("d.jsonl", '[{"q": 1}]\n[{"q": 2}]', ["line 2", "after the end of the list"]),
    "cut off": ("d.json", '[{"q": 1},\n{"q": "b', ["line 2", "Unterminated"]),
    "a record without its end": (
        "d.jsonl",
        LINES + '{"q": 1\n{"q": 2}\n{"q": 3}\n',
        ["line 3: not", "has no end", """'{"q": 1'"""],
    ),
    "the last one without its end": (
        "d.jsonl",
        LINES + '{"q": 1\n',
        ["line 3: not", "has no end", """'{"q": 1'"""],
    ),
    "a comma that is missing within": ("d.json", '[{"q": 1,\n"a": 2\n "b": 3}]', ["line 3", "','"]),
    "Python's quotes": ("d.jsonl", "{'q': 'a'}", ["line 1", "double quotes"]),
    "too deep": ("d.json", "[" * 100_000, ["line 1", "nested too deeply"]),
    "two splits": ("d.json", json.dumps({"train": RECORDS, "test": RECORDS}), ["train, test"]),
    "columns": ("d.json", '{"q": ["a", "b"], "a": ["c", "d"]}', ["holds columns (q, a)"]),
    "pandas' columns": ("d.json", '{"q": {"0": "a"}, "a": {"0": "c"}}', ["holds columns"]),
    "two columns of one name": ("d.csv", "q,a,q\n1,2,3\n", ["2 columns are called 'q'"]),
    "too many fields": ("d.csv", TABLE + "b,c,d\n", ["line 4: 3 field(s)", "2 (q, a)", "','"]),
    "too few fields": ("d.tsv", TABS + "b\n", ["line 4: 1 field(s)", "separated by tab"]),
    "the header again": ("d.csv", TABLE + TABLE, ["line 4: the header comes again"]),
    "two separators fit": ("d.csv", "q,a;b\nx,y;z\n", ["',' or ';'", "--separator"]),
    "a quote that is not closed": ("d.csv", TABLE + 'b,"c\nd,e\n', ["line 4", "not closed"]),
    "a quote that ends early": ("d.csv", 'q,a\n"Yes" he said,b\n', ["line 2", "--quotes text"]),
    "a spreadsheet": ("d.xlsx", b"PK\x03\x04", ["spreadsheet", "save the sheet", "CSV UTF-8"]),
    "one in disguise": ("d.csv", b"PK\x03\x04", ["ZIP archive or a spreadsheet"]),
    "a web page": ("d.json", "<!DOCTYPE html><html>", ["web page"]),
    "a pointer": ("d.csv", "version https://git-lfs.github.com/spec/v1\n", ["git lfs pull"]),
    "a text without its end": ("d.jsonl", '{"q": "b\n{"q": 2}', ["line 1", "end of its line"]),
    "an archive": ("d.zip", b"PK\x03\x04", ["an archive is not read; unpack it"]),
    "an archive of another kind": ("d.tar.gz", b"\x1f\x8b", ["an archive is not read"]),
    "no ending": ("data", TABLE, ["format '' is not known", ".ndjson", ".gz"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(tmp_path, case):
    name, content, parts = WRONG[case]
    with pytest.raises(ValueError) as error:
        read_file(write(tmp_path / name, content))
    says(error, name, *parts)


def test_two_parquet_columns_of_one_name_and_a_folder(tmp_path):
    pq.write_table(pa.Table.from_arrays([["a"], ["b"]], names=["q", "q"]), tmp_path / "d.parquet")
    with pytest.raises(ValueError, match="2 columns are called 'q'"):
        read_file(tmp_path / "d.parquet")
    with pytest.raises(ValueError, match="is a folder; give one file"):
        read_file(tmp_path)


@pytest.mark.parametrize("name", ["klingon", "hex"])
def test_an_encoding_that_is_none(tmp_path, name):
    with pytest.raises(ValueError, match=f"--encoding '{name}'"):
        read_file(write(tmp_path / "d.csv", TABLE), Reading(encoding=name))


@pytest.mark.parametrize(
    "content", ["q,a\nb,c\n".encode("utf-16-le"), b"q,a\nb,c\n", b"q,a\nb,cd\n"]
)
def test_an_encoding_that_needs_a_mark_which_is_not_there(tmp_path, content):
    path = write(tmp_path / "d.csv", content)
    advice = "give --encoding utf-16-le or utf-16-be, or leave --encoding out where it is UTF-8"
    with pytest.raises(ValueError, match=rf"d.csv: .*BOM; {advice}"):
        read_file(path, Reading(encoding="UTF16"))


STRAY = {  # a quote that takes rows into a field -> the line where it opens, and where it ends
    'q,a\nb,"c\nd,e\nf,g"\nh,i\n': (2, "2 more line(s) up to line 4"),
    'q,a\n"b,c\nd",e\n': (2, "1 more line(s) up to line 3"),
    'q,a\n"b, c","d\ne,f\ng,h"\n': (2, "2 more line(s) up to line 4"),
    'q,a,s\nb,"c\nd",e,f\ng,"h,i\nj,k",l\n': (2, "4 field(s)"),
    'q,a\nb,"c\nd,e\nf,"g, h"\n': (2, "in line 4, the field goes on"),
}


@pytest.mark.parametrize("content", STRAY)
def test_a_stray_quote_takes_no_rows_away(tmp_path, content):
    line, ends = STRAY[content]
    with pytest.raises(ValueError) as error:
        read_file(write(tmp_path / "d.csv", content))
    says(error, f"line{'s' if 'field(s)' in ends else ''} {line}", ends)


def test_a_field_of_several_lines_is_said(tmp_path):
    letters = 'q,a\n"Dear Sir,\nwho?","Me, of course.\n\nAnd you, too"\nb,"c, d"\n'
    with pytest.warns(UserWarning, match=r"1 of 2 rows span several lines, the first: lines 2-5"):
        found = read_file(write(tmp_path / "d.csv", letters))
    assert found[0] == {"q": "Dear Sir,\nwho?", "a": "Me, of course.\n\nAnd you, too"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is said again, nor of rows that are lines
        assert read_file(tmp_path / "d.csv") == found
        assert len(read_file(write(tmp_path / "d.csv", 'q,a\n"b","c, ""d"""\n'))) == 1


def test_what_quotes_are_can_be_said(tmp_path):
    path = write(tmp_path / "d.csv", 'q,a\nb,"c\nd,e\nf,g"\nh,i\n')
    text = read_file(path, Reading(quotes=Quotes.TEXT))
    assert [row["a"] for row in text] == ['"c', "e", 'g"', "i"]
    with pytest.warns(UserWarning, match="1 of 2 rows"):
        trusted = read_file(path, Reading(quotes=Quotes.TRUSTED))
    assert [row["a"] for row in trusted] == ["c\nd,e\nf,g", "i"]


def test_a_nameless_column_is_called_by_its_number(tmp_path):
    path = write(tmp_path / "d.csv", ",q,a,\n0,b,c,\n")
    assert read_file(path) == [{"column 1": "0", "q": "b", "a": "c", "column 4": ""}]


def test_a_separator_that_is_named(tmp_path):
    path = write(tmp_path / "d.csv", "q#a\nb,c#d;e\n")
    assert read_file(path, Reading(separator="#")) == [{"q": "b,c", "a": "d;e"}]


def test_a_dataset_is_called_as_its_file_without_endings():
    assert called("a/b/my.data.jsonl.gz") == "my.data"
    assert called("notes.CSV") == "notes"
    assert called("hub:somebody/their-v1.5") == "their-v1.5"


def test_marks_of_joined_files_are_no_part_of_the_text(tmp_path):
    line = json.dumps(RECORDS[0])
    joined = f"{line}\n\ufeff{line}\n"
    assert read_file(write(tmp_path / "d.jsonl", joined)) == [RECORDS[0]] * 2
    assert read_file(write(tmp_path / "d.csv", "q,a\nb,c\n\ufeffd,e\n"))[1]["q"] == "d"
    with pytest.raises(ValueError, match="line 3: the header comes again"):
        read_file(write(tmp_path / "e.csv", "q,a\nb,c\n\ufeffq,a\nd,e\n"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_file_that_ends_within_a_character(tmp_path, encoding):
    path = write(tmp_path / "d.csv", "q,a\nb,ä".encode(encoding)[:-1])
    with pytest.raises(ValueError, match=r"ends within a character .*was it cut"):
        read_file(path)


def test_a_number_of_thousands_of_digits(tmp_path):
    path = write(tmp_path / "d.jsonl", LINES + '{"q": ' + "9" * 5000 + "}")
    with pytest.raises(ValueError, match=r"d.jsonl, line 3: .*4300 digits"):
        read_file(path)


def test_what_is_no_file_or_another_table(tmp_path):
    os.mkfifo(tmp_path / "d.jsonl")
    with pytest.raises(ValueError, match=r"d.jsonl is a pipe"):
        read_file(tmp_path / "d.jsonl")
    with pytest.raises(ValueError, match=r"write it as Parquet: pandas.read_feather"):
        read_file(tmp_path / "d.feather")
    write(tmp_path / "dataset_info.json", "{}")
    with pytest.raises(ValueError, match="save_to_disk"):
        read_file(tmp_path)
