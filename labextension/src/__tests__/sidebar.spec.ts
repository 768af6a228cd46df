import type { JupyterFrontEnd } from '@jupyterlab/application';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';

import { addCommands } from '../commands';
import { ServingSidebar } from '../components/sidebar';
import { ServingModel } from '../model';
import { CommandIDs } from '../tokens';
import { FakeServer, LIST, endpoint } from './server';

/** Longest wait (ms) for something that should be there in a few. */
const DEADLINE = 5000;

describe('ServingSidebar', () => {
  let server: FakeServer;
  let model: ServingModel;
  let commands: CommandRegistry;
  let sidebar: ServingSidebar;

  beforeEach(() => {
    server = new FakeServer();
    model = new ServingModel({ api: server.api });
    commands = new CommandRegistry();
    const trans = nullTranslator.load('jupyter_serving');
    addCommands({ app: { commands } as JupyterFrontEnd, model, trans });
    commands.addCommand(CommandIDs.openLogs, {
      caption: args => `Open logs of ${args.name}`,
      describedBy: { args: null },
      execute: () => undefined
    });
  });

  afterEach(() => {
    sidebar.dispose();
    model.dispose();
  });

  function show(): void {
    sidebar = new ServingSidebar({
      model,
      commands,
      translator: nullTranslator
    });
    Widget.attach(sidebar, document.body);
  }

  /** The first element that fits, as soon as it is there. */
  async function find(selector: string): Promise<HTMLElement> {
    const end = Date.now() + DEADLINE;
    for (;;) {
      const element = sidebar.node.querySelector<HTMLElement>(selector);
      if (element) {
        return element;
      }
      if (Date.now() > end) {
        throw new Error(`No ${selector} in ${sidebar.node.innerHTML}`);
      }
      await new Promise(resolve => setTimeout(resolve, 5));
    }
  }

  const buttons = (node: HTMLElement): Array<string | null> =>
    [...node.querySelectorAll('button')].map(
      button => button.getAttribute('aria-label') ?? button.textContent
    );

  it('says that it is loading', async () => {
    server.answers.set(LIST, () => new Promise(() => undefined));
    show();
    expect(
      (await find('[role=status].jp-serving-Placeholder')).textContent
    ).toBe('Loading endpoints…');
  });

  it('shows state, version and numbers of an endpoint as text', async () => {
    server.list(
      endpoint('iris', 'READY', {}, { requests_per_second: 3, queued: 2 })
    );
    show();
    const item = await find('li[data-endpoint=iris]');
    expect(item.parentElement?.tagName).toBe('UL');
    expect(item.textContent).toContain('Ready');
    expect(item.textContent).toContain('iris, version 1');
    expect(item.querySelector('[data-metric=replicas]')?.textContent).toBe(
      'Replicas1/1'
    );
    expect(item.querySelector('[data-metric=queued] dd')?.textContent).toBe(
      '2'
    );
    expect(item.querySelector('.jp-serving-State-icon svg')).not.toBeNull();
    expect(buttons(item)).toEqual([
      'Stop endpoint iris',
      'Open logs of iris',
      'Copy invocation URL of iris',
      'Delete endpoint iris'
    ]);
  });

  it('shows why an endpoint failed, and the way to its logs', async () => {
    server.list(endpoint('iris', 'FAILED', {}, { message: 'No module x' }));
    show();
    const item = await find('li[data-phase=FAILED]');
    expect(item.textContent).toContain('No module x');
    expect(buttons(item)).toContain('Show logs');
    expect(buttons(item)).toContain('Start endpoint iris');
  });

  it('says how to begin where there is nothing yet', async () => {
    server.list();
    show();
    const empty = await find('[data-state=empty]');
    expect(empty.textContent).toContain('%load_ext jupyter_serving');
    expect(buttons(empty)).toEqual(['Copy']);
  });

  it('says what to do where the server has no part of ours', async () => {
    server.answers.set(LIST, { status: 404, text: '<h1>404</h1>' });
    show();
    const explained = await find('[data-state=unavailable]');
    expect(explained.textContent).toContain('jupyter server extension list');
    expect(buttons(explained)).toEqual(['Retry']);
  });

  it('keeps the last list, greyed, and offers to try again', async () => {
    server.list(endpoint('iris', 'READY'));
    show();
    await find('li[data-endpoint=iris]');
    const json = { error_code: 'TEMPORARILY_UNAVAILABLE', message: 'Wait.' };
    server.answers.set(LIST, { status: 503, json });
    await model.refresh();
    await find('.jp-serving-mod-stale li[data-endpoint=iris]');
    const note = await find('.jp-serving-Note[role=status]');
    expect(note.textContent).toContain('Not connected. Wait.');
    server.list(endpoint('iris', 'READY'));
    note.querySelector('button')?.click();
    await find('.jp-serving-List:not(.jp-serving-mod-stale)');
  });

  it('announces a change of state', async () => {
    server.list(endpoint('iris', 'CREATING'));
    show();
    await find('li[data-phase=CREATING]');
    server.list(endpoint('iris', 'READY'));
    await model.refresh();
    await find('li[data-phase=READY]');
    const live = await find('[aria-live=polite]:not(:empty)');
    expect(live.textContent).toBe('iris: Ready.');
  });

  it('keeps the focus in the list when the focused endpoint goes', async () => {
    server.list(endpoint('a', 'READY'), endpoint('b', 'READY'));
    show();
    const item = await find('li[data-endpoint=b]');
    item.querySelector('button')?.focus();
    server.list(endpoint('a', 'READY'));
    await model.refresh();
    await find('.jp-serving-List > li:only-child');
    expect(document.activeElement).toBe(await find('.jp-serving-List'));
  });

  it('shows no buttons of a disabled plugin', async () => {
    commands = new CommandRegistry();
    server.list(endpoint('iris', 'READY'));
    show();
    expect(buttons(await find('li[data-endpoint=iris]'))).toEqual([]);
  });

  it('asks nothing while it is hidden', async () => {
    server.list(endpoint('iris', 'READY'));
    show();
    await find('li[data-endpoint=iris]');
    expect(model['_watchers']).toBe(1);
    sidebar.hide();
    expect(model['_watchers']).toBe(0);
    sidebar.show();
    expect(model['_watchers']).toBe(1);
  });
});
