import { LogsModel } from '../logs';
import type { ILogSnapshot } from '../logs';
import { FakeServer, endpoint, rests } from './server';

const PATH = 'GET jupyter-serving/api/2.0/serving-endpoints/a';
const GONE = {
  status: 404,
  json: { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'No such endpoint.' }
};

describe('LogsModel', () => {
  let server: FakeServer;
  let model: LogsModel;

  function open(options: Partial<LogsModel.IOptions> = {}): void {
    model = new LogsModel({
      api: server.api,
      name: 'a',
      pollSeconds: 0.001,
      ...options
    });
    model.visible = true;
  }

  /** Resolves with the snapshot that fits, this one or a later one. */
  function until(
    fits: (snapshot: ILogSnapshot) => boolean
  ): Promise<ILogSnapshot> {
    return new Promise(resolve => {
      const look = (): void => {
        if (fits(model.snapshot)) {
          model.changed.disconnect(look);
          resolve(model.snapshot);
        }
      };
      model.changed.connect(look);
      look();
    });
  }

  beforeEach(() => {
    server = new FakeServer();
    server.answers.set(PATH, { json: endpoint('a', 'READY') });
    server.answers.set(`${PATH}/served-models/a-1/logs`, {
      json: { logs: 'served' }
    });
    server.answers.set(`${PATH}/served-models/a-1/build-logs`, {
      json: { logs: 'built' }
    });
  });

  afterEach(() => {
    model.dispose();
  });

  it('shows the service log first', async () => {
    open();
    const snapshot = await until(({ text }) => text !== null);
    expect(snapshot).toMatchObject({
      tab: 'service',
      entity: 'a-1',
      text: 'served'
    });
  });

  it('shows the build log first where nothing was served yet', async () => {
    server.answers.set(`${PATH}/served-models/a-1/logs`, {
      json: { logs: '' }
    });
    open();
    const snapshot = await until(({ text }) => text === 'built');
    expect(snapshot.tab).toBe('build');
  });

  it('stays at the log that was asked for, though it is empty', async () => {
    server.answers.set(`${PATH}/served-models/a-1/logs`, GONE);
    open({ tab: 'service' });
    const snapshot = await until(({ text }) => text !== null);
    expect(snapshot).toMatchObject({
      tab: 'service',
      text: '',
      gone: false,
      error: null
    });
  });

  it('follows: what is logged later is shown', async () => {
    open();
    await until(({ text }) => text === 'served');
    server.answers.set(`${PATH}/served-models/a-1/logs`, {
      json: { logs: 'served\nmore' }
    });
    await until(({ text }) => text === 'served\nmore');
  });

  it('asks nothing when it is not followed, but by a refresh', async () => {
    open();
    await until(({ text }) => text === 'served');
    model.setFollow(false);
    server.answers.set(`${PATH}/served-models/a-1/logs`, {
      json: { logs: 'later' }
    });
    await rests(model['_poll'], 1);
    const asked = server.requests.length;
    await rests(model['_poll']);
    expect(server.requests.length).toBe(asked);
    model.refresh();
    await until(({ text }) => text === 'later');
  });

  it('shows the events on demand', async () => {
    const events = [{ id: 1, timestamp: 0, type: 'CREATED', message: 'x' }];
    server.answers.set(`${PATH}/events`, { json: { events } });
    open();
    await until(({ text }) => text !== null);
    model.selectTab('events');
    const snapshot = await until(shown => shown.events !== null);
    expect(snapshot.events).toEqual(events);
  });

  it('shows the newest entity, and another one on demand', async () => {
    server.answers.set(PATH, {
      json: endpoint('a', 'UPDATING', {
        pending_config: { served_entities: [{ name: 'a 2/x' }] }
      })
    });
    server.answers.set(`${PATH}/served-models/a%202%2Fx/logs`, {
      json: { logs: 'newest' }
    });
    open();
    await until(({ text }) => text === 'newest');
    model.selectEntity('a-1');
    await until(({ text }) => text === 'served');
  });

  it('says that the endpoint is gone, and asks no more', async () => {
    server.answers.set(PATH, GONE);
    open();
    await until(({ gone }) => gone);
    await rests(model['_poll'], 1);
    const asked = server.requests.length;
    await rests(model['_poll']);
    expect(server.requests.length).toBe(asked);
  });

  it('keeps the text when the server does not answer', async () => {
    open();
    await until(({ text }) => text === 'served');
    server.answers.set(PATH, new TypeError('Failed to fetch'));
    const snapshot = await until(({ error }) => error !== null);
    expect(snapshot).toMatchObject({
      text: 'served',
      gone: false,
      error: { kind: 'network' }
    });
  });
});
