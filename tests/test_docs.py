"""The pages say nothing that is not there: commands, options, configs, links. .ci/docs runs the commands themselves."""

import argparse
import inspect
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmosnet import __main__ as program
from mmosnet.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPERS
from tests.docs_blocks import (
    LANGUAGES,
    REPOSITORY,
    Block,
    changes_environment,
    commands_of,
    pages,
    read_blocks,
    tool_calls,
)

PAGES = pages()
TEXTS = {page: (REPOSITORY / page).read_text(encoding='utf-8') for page in PAGES}
BLOCKS = [block for page in PAGES for block in read_blocks(page, TEXTS[page])]
COMMANDS = [
    (f'{block.page}:{command.line}', call)
    for block in BLOCKS
    if block.language == 'bash'
    for command in commands_of(block)
    for call in tool_calls(command.text)
]
TOOLS = sorted(path.name for path in (REPOSITORY / 'tools').iterdir() if path.suffix in ('.py', '.sh'))
# Where a launcher's own arguments end, and what its tool is.
LAUNCHERS = {'dist_train.sh': (2, 'train.py'), 'dist_test.sh': (3, 'test.py'), 'slurm_train.sh': (3, 'train.py')}
INLINE_CODE = re.compile(r'(?<!`)`([^`]+)`(?!`)')
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')


def without_blocks(text: str) -> str:
    """The running text and tables of a page."""
    return re.sub(r'^(\s*)```.*?^\s*```', '', text, flags=re.MULTILINE | re.DOTALL)


class Parsed(Exception):
    """A tool came as far as its arguments."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


_parsers: dict[str, argparse.ArgumentParser] = {}


@pytest.fixture
def parser_of(monkeypatch):
    """The argument parser of a tool, found by starting it in this process up to the point where it parses."""

    def caught(parser, *args, **kwargs):
        raise Parsed(parser)

    def find(script: str) -> argparse.ArgumentParser:
        if script not in _parsers:
            with monkeypatch.context() as patch:
                for method in ('parse_args', 'parse_intermixed_args', 'parse_known_args'):
                    patch.setattr(argparse.ArgumentParser, method, caught)
                patch.setattr(sys, 'argv', [script])
                with pytest.raises(Parsed) as found:
                    if script == 'mmosnet':
                        program.main()
                    else:
                        runpy.run_path(str(REPOSITORY / script), run_name='__main__')
            _parsers[script] = found.value.parser
        return _parsers[script]

    return find


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """All options of a parser and of its subcommands."""
    options = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            options |= {option for child in action.choices.values() for option in options_of(child)}
    return options


def script_and_arguments(call: list[str]) -> tuple[str, list[str]]:
    """The Python tool that a call ends in, and what it gets: launchers pass their further arguments on."""
    script, *arguments = call
    name = Path(script).name
    if name in LAUNCHERS:
        own, tool = LAUNCHERS[name]
        # The config, and the checkpoint of a test.
        positional = arguments[own - 1 : own] if name == 'slurm_train.sh' else arguments[: own - 1]
        return f'tools/{tool}', [*positional, *arguments[own:]]
    return script, arguments


@pytest.mark.parametrize('page', PAGES)
def test_every_block_is_run_or_says_why_not(page):
    for block in BLOCKS:
        if block.page != page:
            continue
        assert block.language not in ('sh', 'shell', 'console', 'py'), f'{page}:{block.line}: write bash or python'
        assert not changes_environment(block), f'{page}:{block.line} installs: mark it <!-- not run: REASON -->'
        if block.language == 'bash':
            assert commands_of(block), f'{page}:{block.line} has no command'
        if block.language == 'python' and block.is_run:
            compile(block.text, f'{page}:{block.line}', 'exec')
        if block.language not in LANGUAGES:
            assert (block.reason, block.job) == (None, None), f'{page}:{block.line}: nobody would run it anyway'


def test_blocks_that_ci_runs_by_name_are_those_of_its_script():
    script = (REPOSITORY / '.ci' / 'run').read_text()
    named = {block.job: block.page for block in BLOCKS if block.job}
    assert named == dict.fromkeys(re.findall(r'command_of ([\w-]+)\)', script), 'README.md')
    assert '.ci/docs' in script


@pytest.mark.parametrize(('place', 'call'), COMMANDS, ids=[f'{place} {call[0]}' for place, call in COMMANDS])
def test_a_command_is_one_that_its_tool_takes(place, call, parser_of, capsys):
    script, arguments = script_and_arguments(call)
    assert (REPOSITORY / call[0]).exists(), place
    parser = parser_of(script)
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
        if not re.search(r'(tools/\w+\.(py|sh)|-m mmosnet)', code):
            continue
        for call in tool_calls(code) or tool_calls(f'python {code}'):
            script, arguments = script_and_arguments(call)
            assert (REPOSITORY / call[0]).exists(), f'{page}: {code}'
            options = [word.partition('=')[0] for word in arguments if word.startswith('--')]
            assert set(options) <= options_of(parser_of(script)), f'{page}: {code}'


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
    """Names by which headings are linked: lower case, punctuation left out, hyphens for blanks."""
    titles = re.findall(r'^#+ (.+)$', without_blocks(text), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES)
def test_configs_that_are_named_exist(page):
    known = {path.name for path in (REPOSITORY / 'configs').rglob('*.py')}
    # Configs that the reader writes.
    made = set(re.findall(r'cat > configs/(\w+\.py)', TEXTS[page]))
    for name in re.findall(r'\b((?:osnet|mmdet|mmpose|mmpretrain)_\w+\.py)', TEXTS[page]):
        assert name in known or name in made, f'{page} names {name}'


@pytest.mark.parametrize('tool', TOOLS)
def test_every_tool_is_in_the_docs(tool):
    assert any(f'tools/{tool}' in text for page, text in TEXTS.items() if page.startswith('docs/')), tool


def test_every_page_is_in_the_index():
    index = LINK.findall(TEXTS['docs/README.md'])
    assert {page.removeprefix('docs/') for page in PAGES if page.startswith('docs/')} - {'README.md'} <= set(index)


def block_of(text: str) -> Block:
    (block,) = read_blocks('page.md', text)
    return block


def test_a_block_with_its_line_language_and_mark():
    plain = block_of('# Title\n\n```bash\nls\n```\n')
    assert (plain.page, plain.line, plain.language, plain.text, plain.is_run) == ('page.md', 4, 'bash', 'ls\n', True)
    marked = block_of('<!-- not run: needs a GPU -->\n\n```python\nx = 1\n```\n')
    assert (marked.reason, marked.is_run) == ('needs a GPU', False)
    assert block_of('<!-- ci: tests -->\n```bash\nls\n```\n').job == 'tests'
    assert not block_of('```\noutput\n```\n').is_run


def test_a_mark_counts_for_one_block_only():
    first, second = read_blocks('page.md', '<!-- not run: why -->\n```bash\nls\n```\n```bash\nls\n```\n')
    assert (first.is_run, second.is_run) == (False, True)


@pytest.mark.parametrize(
    ('text', 'error'),
    [('```bash\nls\n', 'page.md:1: .* not closed'), ('<!-- not run: why -->\ntext\n', 'page.md:2: no code block')],
)
def test_blocks_that_are_not_well_formed(text, error):
    with pytest.raises(ValueError, match=error):
        read_blocks('page.md', text)


def test_a_block_is_cut_into_commands():
    text = '# first\nls -l \\\n  /tmp\n\nfor i in 1 2; do\n  echo $i\ndone\ncat <<E\n# kept\nE\nls  # last\n'
    commands = commands_of(Block('page.md', 10, 'bash', text))
    assert [command.line for command in commands] == [11, 14, 17, 20]
    assert commands[2].text == 'cat <<E\n# kept\nE'
    with pytest.raises(ValueError, match=r'page\.md:10: bash does not understand'):
        commands_of(Block('page.md', 10, 'bash', 'if true; then\n'))


@pytest.mark.parametrize(
    ('command', 'installs'),
    [
        ("pip install -e '.[lite,demo]'", True),
        ('python -m pip --quiet install x', True),
        ('ls && pip3 install \\\n  x', True),
        ('uv pip install x', True),
        ('ls  # pip is not called', False),
        ('# pip install x\npip --version', False),
        ('pip list | grep install', False),
    ],
)
def test_installations_are_recognised(command, installs):
    assert changes_environment(Block('page.md', 1, 'bash', command)) == installs
    assert not changes_environment(Block('page.md', 1, 'bash', command, reason='an environment of its own'))


def test_tool_calls_of_a_command():
    calls = tool_calls("A=1 python tools/a.py 'x y' \\\n  --b torchreid://c | tee log && bash tools/d.sh e  # f")
    assert calls == [['tools/a.py', 'x y', '--b', 'torchreid://c'], ['tools/d.sh', 'e']]
    assert tool_calls('python -m mmosnet') == [['mmosnet']]
    assert tool_calls('ls tools/a.py && python other.py') == []


def test_every_inline_command_can_be_split():
    for page, text in TEXTS.items():
        for code in INLINE_CODE.findall(without_blocks(text)):
            if code.startswith(('python tools/', 'bash tools/')):
                assert shlex.split(code), page


CONFIG_KEY = re.compile(
    r'(?:model|(?:train|val|test)_dataloader|(?:val|test)_evaluator|optim_wrapper|train_cfg|default_hooks|randomness)\.[\w.]+'
)


def arguments_of(cfg: dict) -> set[str]:
    """What the class of a part of a config takes, bases included."""
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
