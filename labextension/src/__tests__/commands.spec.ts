import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import {
  acceptDialog,
  dismissDialog,
  waitForDialog
} from '@jupyterlab/testutils';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { EXAMPLE, addCommands } from '../commands';
import { ServingModel } from '../model';
import { CommandIDs } from '../tokens';
import { FakeServer, endpoint } from './server';

const PATH = 'jupyter-serving/api/2.0/serving-endpoints';

describe('commands', () => {
  let server: FakeServer;
  let model: ServingModel;
  let commands: CommandRegistry;
  /** What was clicked last with the right button. */
  let clicked: HTMLElement;

  beforeEach(async () => {
    server = new FakeServer();
    server.list(
      endpoint('iris', 'READY', {}, { requests_per_second: 7 }),
      endpoint('wine', 'STOPPED'),
      endpoint('fraud', 'UPDATING')
    );
    model = new ServingModel({ api: server.api });
    commands = new CommandRegistry();
    clicked = document.createElement('li');
    const app = {
      commands,
      contextMenuHitTest: (fits: (node: HTMLElement) => boolean) =>
        fits(clicked) ? clicked : undefined
    } as unknown as JupyterFrontEnd;
    const trans = nullTranslator.load('jupyter_serving');
    addCommands({ app, model, trans });
    await model.refresh();
    server.requests.length = 0;
  });

  afterEach(() => {
    Notification.dismiss();
    model.dispose();
  });

  const verbs = (): string[] =>
    server.requests
      .filter(({ method }) => method !== 'GET')
      .map(
        ({ method, url }) =>
          `${method} ${url.slice(server.baseUrl.length).split('?')[0]}`
      );

  it('have a label, a caption, an icon and described arguments', async () => {
    for (const id of commands.listCommands()) {
      expect(commands.label(id)).not.toBe('');
      expect(commands.caption(id)).not.toBe('');
      expect(commands.icon(id)).toBeDefined();
      expect((await commands.describedBy(id)).args).not.toBeNull();
    }
  });

  it.each([
    ['iris', true, false],
    ['wine', false, true],
    ['fraud', false, false]
  ])('apply to %s as its phase allows', (name, stop, start) => {
    expect(commands.isEnabled(CommandIDs.stop, { name })).toBe(stop);
    expect(commands.isEnabled(CommandIDs.start, { name })).toBe(start);
    expect(commands.isEnabled(CommandIDs.remove, { name })).toBe(true);
  });

  it('say why an endpoint cannot be stopped now', () => {
    const caption = commands.caption(CommandIDs.stop, { name: 'fraud' });
    expect(caption).toBe(
      'Stop endpoint fraud (after its deployment has ended)'
    );
  });

  it('do not apply while the server does not answer', async () => {
    server.answers.clear();
    await model.refresh();
    expect(commands.isEnabled(CommandIDs.stop, { name: 'iris' })).toBe(false);
    expect(commands.isEnabled(CommandIDs.stop)).toBe(false);
  });

  it('act on the endpoint that was clicked, only in its context menu', async () => {
    clicked.setAttribute('data-endpoint', 'wine');
    expect(commands.isVisible(CommandIDs.start, { contextMenu: true })).toBe(
      true
    );
    expect(commands.isVisible(CommandIDs.stop, { contextMenu: true })).toBe(
      false
    );
    server.answers.set(`POST ${PATH}/wine/config:start`, {});
    await commands.execute(CommandIDs.start, { contextMenu: true });
    expect(verbs()).toEqual([`POST ${PATH}/wine/config:start`]);
  });

  it('ask which endpoint is meant when none is named', async () => {
    clicked.setAttribute('data-endpoint', 'wine');
    const done = commands.execute(CommandIDs.stop);
    await waitForDialog();
    const options = [...document.querySelectorAll('.jp-Dialog option')];
    expect(options.map(({ textContent }) => textContent)).toEqual(['iris']);
    server.answers.set(`POST ${PATH}/iris/config:stop`, {});
    await acceptDialog();
    await done;
    expect(verbs()).toEqual([`POST ${PATH}/iris/config:stop`]);
  });

  it('delete after a dialog that names the endpoint and what is lost', async () => {
    server.answers.set(`DELETE ${PATH}/iris`, {});
    const done = commands.execute(CommandIDs.remove, { name: 'iris' });
    await waitForDialog();
    const text = document.querySelector('.jp-Dialog')?.textContent;
    expect(text).toContain('“iris”');
    expect(text).toContain('7 requests per second');
    // a stray Enter must not delete: it is not the default button
    document.querySelector<HTMLElement>('.jp-Dialog .jp-mod-warn')?.click();
    await done;
    expect(verbs()).toEqual([`DELETE ${PATH}/iris`]);
  });

  it('delete nothing when the dialog is dismissed', async () => {
    const done = commands.execute(CommandIDs.remove, { name: 'iris' });
    await waitForDialog();
    await dismissDialog();
    await done;
    expect(verbs()).toEqual([]);
  });

  it("tell a failure in the server's words", async () => {
    server.answers.set(`POST ${PATH}/iris/config:stop`, {
      status: 409,
      json: { error_code: 'RESOURCE_CONFLICT', message: 'It is updating.' }
    });
    await commands.execute(CommandIDs.stop, { name: 'iris' });
    const [toast] = Notification.manager.notifications;
    expect(toast.message).toBe('“iris” could not be stopped.\nIt is updating.');
    expect(toast.options.autoClose).toBe(false);
  });

  it('copy the invocation URL', async () => {
    const copied = jest
      .spyOn(Clipboard, 'copyToSystem')
      .mockImplementation(() => undefined);
    await commands.execute(CommandIDs.copyUrl, { name: 'iris' });
    await commands.execute(CommandIDs.copyExample);
    expect(copied.mock.calls.map(([text]) => text)).toEqual([
      'http://127.0.0.1:9000/serving-endpoints/iris/invocations',
      EXAMPLE
    ]);
    copied.mockRestore();
  });
});
