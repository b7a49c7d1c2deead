"""The pages name nothing that is not there: commands, options, configs, links. ``.ci/docs`` runs their code blocks."""

from __future__ import annotations

import argparse
import inspect
import re
import runpy
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser

from mmosnet.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPERS
from tests.documentation import LANGUAGES, MARK, REPOSITORY, installs, mark_of, pages, run_block

pytest_plugins = 'pytester'
PAGES = pages()
TEXTS = {page: (REPOSITORY / page).read_text(encoding='utf-8') for page in PAGES}
TOOLS = sorted(path.name for path in (REPOSITORY / 'tools').iterdir() if path.suffix in ('.py', '.sh'))
# How many arguments of a launcher are its own, which of them it passes on, and to which tool.
LAUNCHERS = {
    'dist_train.sh': (2, slice(0, 1), 'train.py'),
    'dist_test.sh': (3, slice(0, 2), 'test.py'),
    'slurm_train.sh': (3, slice(2, 3), 'train.py'),
}
HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?(.*)\n(?:.*\n)*?\1$", re.MULTILINE)
INLINE_CODE = re.compile(r'(?<!`)`([^`]+)`(?!`)')
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
OPERATORS = '|&;<>()'


def blocks_of(page: str, language: str) -> list:
    parser = CodeBlockParser(language, run_block)
    return list(Document.parse(str(REPOSITORY / page), parser).examples())


BLOCKS = [(page, language, block) for page in PAGES for language in LANGUAGES for block in blocks_of(page, language)]


def calls_in(command: str) -> list[list[str]]:
    """Return the calls of the project's commands in shell code, each as the words from ``mmosnet`` or the tool on."""
    calls = []
    for line in HERE_DOCUMENT.sub(r'\2', command).replace('\\\n', ' ').splitlines():
        if not re.search(r'\btools/|\bmmosnet\b', line):
            continue
        splitter = shlex.shlex(line, posix=True, punctuation_chars=OPERATORS)
        splitter.whitespace_split = True
        words = ['']
        for word in [*splitter, ';']:
            if not set(word) <= set(OPERATORS):
                words.append(word)
                continue
            for before, (number, name) in zip(words, enumerate(words[1:], start=1), strict=False):
                starts = before in ('', 'python', 'python3', 'bash', '-m', 'do', 'then') or re.match(r'\w+=', before)
                if starts and (re.fullmatch(r'tools/\w+\.(py|sh)', name) or Path(name).name == 'mmosnet'):
                    calls.append(words[number:])
                    break
            words = ['']
    return calls


COMMANDS = [
    (f'{page}:{block.line}', call)
    for page, language, block in BLOCKS
    if language == 'bash'
    for call in calls_in(block.parsed)
]


def without_blocks(text: str) -> str:
    """Return the running text and tables of a page."""
    return re.sub(r'^(\s*)```.*?^\s*```', '', text, flags=re.MULTILINE | re.DOTALL)


def tool_and_arguments(call: list[str]) -> tuple[str, list[str]]:
    """Return the Python tool or the command that a call ends in, and its arguments: launchers pass theirs on."""
    name, *arguments = call
    if Path(name).name == 'mmosnet':
        return (f'mmosnet {arguments[0]}', arguments[1:]) if arguments and arguments[0][0] != '-' else ('', [])
    if Path(name).name in LAUNCHERS:
        own, passed, tool = LAUNCHERS[Path(name).name]
        return f'tools/{tool}', [*arguments[:own][passed], *arguments[own:]]
    return name, arguments


class Parsed(Exception):
    """A tool came as far as its arguments."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


_parsers: dict[str, argparse.ArgumentParser] = {}


@pytest.fixture
def parser_of(monkeypatch):
    """The function that returns the argument parser of a tool, or of a command ``mmosnet NAME``."""

    def stop(parser, *args, **kwargs):
        raise Parsed(parser)

    def find(tool: str) -> argparse.ArgumentParser:
        if tool not in _parsers:
            with monkeypatch.context() as patch, pytest.raises(Parsed) as reached:
                for method in ('parse_args', 'parse_intermixed_args', 'parse_known_args'):
                    patch.setattr(argparse.ArgumentParser, method, stop)
                patch.setattr(sys, 'argv', [tool])
                if tool.startswith('mmosnet '):
                    from mmosnet.cli.main import main

                    assert main(tool.split()[1:]) == 0, f'there is no command {tool}'
                else:
                    runpy.run_path(str(REPOSITORY / tool), run_name='__main__')
            _parsers[tool] = reached.value.parser
        return _parsers[tool]

    return find


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return all options of a parser and of its subcommands."""
    options = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            options |= {option for child in action.choices.values() for option in options_of(child)}
    return options


@pytest.mark.parametrize('page', PAGES)
def test_blocks_are_marked_where_they_cannot_run(page):
    for _, language, block in BLOCKS:
        if str(REPOSITORY / page) == block.path:
            assert mark_of(block) or not installs(block), f'{page}:{block.line} installs: <!-- not run: REASON -->'
            if language == 'python' and (mark_of(block) or ('needs',))[0] == 'needs':
                compile(block.parsed, f'{page}:{block.line}', 'exec')
    fences = re.findall(r'^\s*```(sh|shell|console|py)\b', TEXTS[page], re.MULTILINE)
    assert not fences, f'{page}: write ```bash or ```python, other blocks are not run'
    marked = [block for name, _, block in BLOCKS if name == page and mark_of(block)]
    assert len(MARK.findall(TEXTS[page])) == len(marked), f'{page}: a mark has no block'


def test_blocks_that_ci_runs_by_name_are_those_of_its_script():
    script = (REPOSITORY / '.ci' / 'run').read_text()
    named = {mark[1]: page for page, _, block in BLOCKS if (mark := mark_of(block)) and mark[0] == 'ci'}
    assert named == dict.fromkeys(re.findall(r'command_of ([\w-]+)\)', script), 'README.md')
    assert '.ci/docs' in script


@pytest.mark.parametrize(('place', 'call'), COMMANDS, ids=[f'{place} {" ".join(call[:2])}' for place, call in COMMANDS])
def test_a_command_is_one_that_its_tool_takes(place, call, parser_of, capsys):
    tool, arguments = tool_and_arguments(call)
    if not tool:
        return
    parser = parser_of(tool)
    try:
        parser.parse_args(arguments)
    except SystemExit as e:
        assert e.code == 0, f'{place}: {capsys.readouterr().err}'
    except TypeError:
        # Positional arguments among options.
        parser.parse_intermixed_args(arguments)


@pytest.mark.parametrize('page', PAGES)
def test_options_in_the_text_are_known_to_their_tool(page, parser_of):
    for code in INLINE_CODE.findall(without_blocks(TEXTS[page])):
        for call in calls_in(code) if re.search(r'(^|/| )(tools/\w+\.(py|sh)|mmosnet \w)', code) else []:
            tool, arguments = tool_and_arguments(call)
            options = [word.partition('=')[0] for word in arguments if word.startswith('--')]
            assert not tool or set(options) <= options_of(parser_of(tool)), f'{page}: {code}'


@pytest.mark.parametrize('page', PAGES)
def test_links_and_pictures_lead_somewhere(page):
    for target in LINK.findall(without_blocks(TEXTS[page])):
        if re.match(r'\w+://', target):
            continue
        path, _, anchor = target.partition('#')
        linked = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        assert linked.exists(), f'{page} links {target}'
        if anchor:
            assert anchor in anchors(linked.read_text(encoding='utf-8')), f'{page} links {target}'


def anchors(text: str) -> set[str]:
    """Return the names by which headings are linked: lower case, no punctuation, hyphens for blanks."""
    titles = re.findall(r'^#+ (.+)$', without_blocks(text), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES)
def test_configs_that_are_named_exist(page):
    known = {path.name for path in (REPOSITORY / 'configs').rglob('*.py')}
    # Configs that the reader writes.
    made = set(re.findall(r'cat > configs/(\w+\.py)', TEXTS[page]))
    for name in re.findall(r'\b((?:osnet|mmdet|mmpose|mmpretrain)_\w+\.py)', TEXTS[page]):
        assert name in known or name in made, f'{page} names {name}'


def command_names() -> tuple[str, ...]:
    if find_spec('mmosnet.cli') is None:
        return ()
    from mmosnet.cli.main import NAMES

    return NAMES


@pytest.mark.parametrize('command', [*(f'tools/{tool}' for tool in TOOLS), *map('mmosnet {}'.format, command_names())])
def test_every_command_is_in_the_docs(command):
    names = {command, re.sub(r'tools/(\w+)\.py', lambda tool: f'mmosnet {tool[1].replace("_", "-")}', command)}
    assert any(name in text for page, text in TEXTS.items() if page.startswith('docs/') for name in names), command


def test_every_page_is_in_the_index():
    index = LINK.findall(TEXTS['docs/README.md'])
    assert {page.removeprefix('docs/') for page in PAGES if page.startswith('docs/')} - {'README.md'} <= set(index)


def test_calls_of_a_command():
    calls = calls_in(
        "A=1 python tools/a.py 'x y' \\\n  --b torchreid://c | tee log && bash tools/d.sh e  # f\n"
        "python - <<'END'\nprint(\"it's tools/x.py\")\nEND\nfor i in 1 2; do mmosnet train $i; done\n"
        'ls tools/a.py && python other.py; torchrun -m mmosnet test a\n'
    )
    assert calls == [
        ['tools/a.py', 'x y', '--b', 'torchreid://c'],
        ['tools/d.sh', 'e'],
        ['mmosnet', 'train', '$i'],
        ['mmosnet', 'test', 'a'],
    ]


CONFIG_KEY = re.compile(
    r'(?:model|(?:train|val|test)_dataloader|(?:val|test)_evaluator|optim_wrapper|train_cfg|default_hooks|randomness)\.[\w.]+'
)


def arguments_of(cfg: dict) -> set[str]:
    """Return the arguments of the class of a part of a config, bases included."""
    registries = (MODELS, DATASETS, METRICS, HOOKS, DATA_SAMPLERS, OPTIM_WRAPPERS)
    kind = next(registry.get(cfg['type']) for registry in registries if registry.get(cfg['type']) is not None)
    return {name for base in kind.__mro__ for name in inspect.signature(base.__init__).parameters}


@pytest.mark.parametrize('page', ['docs/from_torchreid.md', 'docs/own_data.md', 'docs/getting_started.md'])
def test_keys_of_configs_in_tables_can_be_set(page):
    cfg = Config.fromfile(REPOSITORY / 'configs' / 'osnet_reid_market.py')
    # The first column is torchreid's, or what somebody wants.
    cells = [cell for line in TEXTS[page].splitlines() if line.startswith('|') for cell in line.split('|')[2:]]
    keys = {key for cell in cells for code in INLINE_CODE.findall(cell) for key in CONFIG_KEY.findall(code)}
    assert keys
    for key in keys:
        node = cfg
        for part in key.split('.'):
            if part not in node:
                assert 'type' not in node or part in arguments_of(node), f'{page}: {key}'
                break
            node = node[part]


@pytest.fixture
def page(pytester, monkeypatch):
    """The function that runs the text of a page as ``.ci/docs`` does, and returns the result of pytest."""
    pytester.makepyprojecttoml('')
    for name in ('PYTEST_ADDOPTS', 'PYTEST_PLUGINS'):
        monkeypatch.delenv(name, raising=False)

    def run(text: str):
        pytester.makefile('.md', page=text)
        pytester.run('git', 'init', '-q')
        monkeypatch.setattr('tests.documentation.REPOSITORY', pytester.path)
        return pytester.inline_run('-p', 'tests.documentation', '-p', 'no:cacheprovider', 'page.md')

    return run


def test_blocks_share_files_and_run_in_order(page):
    result = page(
        '```bash\nname=somebody\necho "hello $name" > greeting\n```\n'
        "```python\nopen('greeting', 'a').write(open('greeting').read())\n```\n"
        '```bash\ntest "$(wc -l < greeting)" = 2; python -c "import mmengine"\n```\n```\noutput\n```\n'
    )
    result.assertoutcome(passed=3)


@pytest.mark.parametrize('failing', ['ls nowhere', 'ls nowhere | cat', 'echo $undefined', 'pip install x'])
def test_a_failure_names_its_line_and_ends_the_page(page, tmp_path, failing):
    result = page(f'```bash\necho before\n{failing}\n```\n```bash\necho after > {tmp_path}/reached\n```\n')
    result.assertoutcome(failed=1, skipped=1)
    assert not (tmp_path / 'reached').exists()


def test_marked_blocks_are_skipped_with_the_reason(page):
    result = page('<!-- not run: needs a GPU -->\n```bash\nexit 1\n```\n<!-- ci: tests -->\n\n```bash\nexit 1\n```\n')
    result.assertoutcome(skipped=2)
    reasons = [report.longrepr[2] for report in result.getreports('pytest_runtest_logreport') if report.skipped]
    assert 'needs a GPU' in reasons[0] and 'tests' in reasons[1]


def test_blocks_run_where_their_packages_are_installed(page):
    result = page(
        '<!-- needs: json re -->\n```bash\necho\n```\n<!-- needs: json no_such_package -->\n```bash\nexit 1\n```\n'
        '```bash\necho\n```\n'
    )
    result.assertoutcome(passed=2, skipped=1)
    reports = [report for report in result.getreports('pytest_runtest_logreport') if report.skipped]
    assert 'no_such_package' in reports[0].longrepr[2] and 'json' not in reports[0].longrepr[2]
