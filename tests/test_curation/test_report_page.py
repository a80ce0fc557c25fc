"""The page of the report: whole, safe, the same bytes, and there when parts are not."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_hex

from s5_mm.curation.report import write_report
from s5_mm.curation.report.charts import quotas
from s5_mm.curation.report.html import Page, number, shown
from s5_mm.curation.report.page import _MEANING, exact_duration
from s5_mm.io.crop_tables.parquet import read_table, write_table

from ..support.curation_run import write_curation_run

NASTY = [
    '"><script>alert(1)<.png',
    "it's $x_1$ & 100 %.png",
    'two\nlines\t\x1b[31m.png',
    'right\u202eto left.png',
    'Übersicht 北.png',
]
VOID = {'meta', 'img', 'br', 'hr', 'link', 'input'}


class Reader(HTMLParser):
    """Checks that elements close in order and collects what a test asks for."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.sources, self.text = [], [], [], []
        self.links, self.anchors, self.attributes = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attrs:
            self.attributes.append(key)
            if key == 'src':
                self.sources.append(value)
            if key == 'href':
                self.links.append(value)
            if key == 'id':
                self.anchors.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def without_pictures(page: str) -> str:
    return '"'.join(part for part in page.split('"') if not part.startswith('data:'))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    write_curation_run(folder, NASTY, 3)
    write_report(folder, folder / 'report', title='A <b>title</b>')
    return folder


@pytest.fixture(scope='module')
def page(run):
    return (run / 'report/report.html').read_text()


def test_is_well_formed_and_needs_nothing_else(page):
    reader = Reader(page)
    assert 'script' not in reader.tags
    assert not any(key.startswith('on') for key in reader.attributes)
    assert len(reader.sources) > 20
    assert all(source.startswith('data:image/') for source in reader.sources)
    assert set(reader.links) == {f'#{anchor}' for anchor in reader.anchors}
    bare = without_pictures(page)
    for outside in ('http:', 'https:', 'url(', '@import', '<link', 'file:'):
        assert outside not in bare
    assert 'prefers-color-scheme: dark' in page


def test_names_of_files_are_text(page):
    text = '\n'.join(Reader(page).text)
    assert 'A <b>title</b>' in text
    assert NASTY[0] in text
    assert NASTY[1] in text
    assert 'two\\nlines\\t\\x1b[31m.png' in text
    assert 'right\\u202eto left.png' in text
    assert NASTY[4] in text
    for char in ('\x1b', '\u202e', '<script', '<b>'):
        assert char not in page


def test_pictures_are_those_of_the_crops(run):
    numbers = json.loads((run / 'report/report.json').read_text())
    sheet = cv2.imread(str(run / 'report/sheet_best.png'))
    for i, crop in enumerate(numbers['sheets']['best'][:8]):
        file = run / 'images' / crop['collection'] / crop['path']
        data = np.frombuffer(file.read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        pixels = image[crop['y'] :, crop['x'] :][:64, :64]
        wanted = cv2.resize(pixels, (144, 144), interpolation=cv2.INTER_NEAREST)
        tile = sheet[6 : 6 + 144, 6 + i * 150 :][:, :144]
        np.testing.assert_array_equal(tile, wanted)


def test_figures_lie_beside_the_page(run, page):
    names = {path.name for path in (run / 'report').iterdir()}
    sheets = ('best', 'borderline', 'typical', 'rejected', 'leaks', 'duplicates')
    assert {
        *('report.html', 'report.json', 'entropy.png', 'entropy_by_cluster.png'),
        *('quotas.png', 'collections.png', 'classes.png', 'leaks.png'),
        *(f'sheet_{name}.png' for name in sheets),
    } <= names
    text = ' '.join(Reader(page).text)
    for heading in ('Overview', 'Time of the stages', 'Entropy', 'Quotas', 'Leakage'):
        assert heading in text
    for value in ('c0ffee', 'a' * 64, 'b' * 64, 'collections = {}', '0:02:10 h'):
        assert value in text


def test_terms_are_explained_where_they_stand(run, page):
    text = ' '.join(Reader(page).text)
    means = json.loads((run / 'report/report.json').read_text())['means']
    assert sorted(_MEANING) == sorted(means)
    for sentence in _MEANING.values():
        assert sentence in text
    for equation in ('Eq. 1 is the entropy above', 'Eq. 2 takes', 'and Eq. 3 gives'):
        assert equation in text


@pytest.mark.parametrize('missing', [0, 3])
def test_legend_of_the_quotas_has_the_colors_of_the_bars(missing):
    """Also of bars that are not there, which matplotlib would give its first blue."""
    wanted = np.array([4.0, 6.0])
    figure = quotas.__wrapped__(wanted, wanted * 2, wanted - [0, missing])
    handles = figure.legends[0].legend_handles
    colors = [to_hex(handle.get_facecolor()) for handle in handles[:2]]
    assert colors == ['#0072b2', '#e69f00']
    assert to_hex(handles[2].get_edgecolor()) == '#882255'
    assert handles[2].get_facecolor()[3] == 0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        'filled, own quota',
        'filled beyond it, from other clusters',
        'wanted and not there',
    ]


def test_same_run_same_bytes_whatever_the_settings(run, tmp_path):
    import matplotlib

    copy = tmp_path / 'elsewhere'
    shutil.copytree(run, copy)
    for stale in ('sheet_dropped.png', 'quotas.png'):
        (copy / 'report' / stale).write_bytes(b'stale')
    with matplotlib.rc_context({'font.size': 20, 'axes.facecolor': 'black'}):
        write_report(copy, copy / 'report', title='A <b>title</b>')
    one, two = run / 'report', copy / 'report'
    names = sorted(path.name for path in one.iterdir())
    assert sorted(path.name for path in two.iterdir()) == names
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_vanished_and_changed_sources_get_placeholders(run, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(run, copy)
    settings = json.loads((copy / 'run.json').read_text())
    settings['collections'] = {'east': str(copy / 'images/east')}
    settings['benchmarks'] = {}
    (copy / 'run.json').write_text(json.dumps(settings))
    (copy / 'images/east' / NASTY[0]).unlink()
    (copy / 'images/east' / NASTY[1]).write_bytes(b'no image')
    small = cv2.imencode('.png', np.zeros((70, 256, 3), np.uint8))[1]
    (copy / 'images/east' / NASTY[2]).write_bytes(small.tobytes())
    text = ' '.join(Reader(write_report(copy, copy / 'report').read_text()).text)
    for reason in (
        'no picture: the file cannot be read (No such file or directory)',
        'the root of west is not in run.json',
        'the root of bench is not in run.json',
        'the file has changed since it was planned',
    ):
        assert reason in text


def test_missing_parts_get_a_sentence(run, tmp_path):
    table = read_table(run / 'manifest.parquet')
    write_table(tmp_path / 'manifest.parquet', table)
    path = write_report(tmp_path, tmp_path / 'report')
    text = ' '.join(Reader(path.read_text()).text)
    for part in (
        'no stages.json',
        'no check/quotas.json',
        'no plan/sources.parquet',
        'no check/matches.parquet',
        'no check/duplicates.parquet',
        'not in run.json',
        'no text of the config',
        'class 0',
    ):
        assert part in text
    assert not (tmp_path / 'report/quotas.png').exists()
    assert (tmp_path / 'report/entropy.png').exists()


@pytest.mark.parametrize('kept', ['unselected', 'rejected', 'none'])
def test_nothing_selected_scored_or_planned(run, tmp_path, kept):
    table = read_table(run / 'manifest.parquet')
    keep = np.array([name == kept for name in table['decision'].to_pylist()])
    write_table(tmp_path / 'manifest.parquet', table.filter(keep))
    path = write_report(tmp_path, tmp_path / 'report')
    text = ' '.join(Reader(path.read_text()).text)
    assert 'Nothing is selected.' in text
    assert ('No crop has an entropy.' in text) == (kept != 'unselected')
    assert ('There is no crop to show.' in text) == (kept == 'none')
    numbers = json.loads((tmp_path / 'report/report.json').read_text())
    assert numbers['overview']['planned'] == keep.sum()


def test_characters_that_do_not_print_are_shown():
    assert shown('a\nb\\ é \x00 \u2028 \ud800') == 'a\\nb\\ é \\x00 \\u2028 \\ud800'


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        *((None, '-'), (float('nan'), '-'), (1234567, '1,234,567')),
        *((0.123456, '0.1235'), (12.0, '12'), (-0.5, '-0.5')),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.1234, '0.123 s'), (119.9, '120 s'), (3725, '1:02:05 h'), (0, '0 s')],
)
def test_durations(seconds, text):
    assert exact_duration(seconds) == text


def test_text_of_a_config_keeps_its_lines():
    page = Page('t')
    page.preformatted('Config', 'a = "<b>"\n  b\x00\n')
    assert '<pre>a = &quot;&lt;b&gt;&quot;\n  b\\x00</pre>' in page.render()
