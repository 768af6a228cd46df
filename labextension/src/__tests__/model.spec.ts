import { ServingModel } from '../model';
import type { ISnapshot } from '../tokens';
import type { ITransition, Outcome } from '../transitions';
import { FakeServer, LIST, endpoint, rests } from './server';

const PATH = 'jupyter-serving/api/2.0/serving-endpoints';

describe('ServingModel', () => {
  let server: FakeServer;
  let model: ServingModel;
  let told: ITransition[];

  beforeEach(() => {
    server = new FakeServer();
    model = new ServingModel({ api: server.api, now: () => 1234 });
    told = [];
    model.transitioned.connect((_, transitions) => {
      told.push(...transitions);
    });
  });

  afterEach(() => {
    model.dispose();
  });

  const names = (): string[] => model.snapshot.endpoints.map(e => e.name);
  const outcomes = (): Array<[string, Outcome]> =>
    told.map(t => [t.endpoint.name, t.outcome]);

  /** Resolves with the first snapshot that fits. */
  function until(fits: (snapshot: ISnapshot) => boolean): Promise<ISnapshot> {
    return new Promise(resolve => {
      model.changed.connect((_, snapshot) => {
        if (fits(snapshot)) {
          resolve(snapshot);
        }
      });
    });
  }

  it('is loading until the server answered, and asks nothing unwatched', () => {
    expect(model.snapshot).toMatchObject({
      connection: 'loading',
      endpoints: [],
      updated: null
    });
    expect(server.requests).toEqual([]);
  });

  it('lists by name', async () => {
    server.list(endpoint('b', 'READY'), endpoint('a', 'STOPPED'));
    await model.refresh();
    expect(model.snapshot).toMatchObject({
      connection: 'connected',
      error: null,
      updated: 1234
    });
    expect(names()).toEqual(['a', 'b']);
  });

  it('takes an answer without a list as an empty one', async () => {
    server.answers.set(LIST, { json: {} });
    await model.refresh();
    expect(model.snapshot.connection).toBe('connected');
    expect(names()).toEqual([]);
  });

  it('keeps the last list when the server does not answer', async () => {
    server.list(endpoint('a', 'READY'));
    await model.refresh();
    server.answers.set(LIST, new TypeError('Failed to fetch'));
    await model.refresh();
    expect(model.snapshot).toMatchObject({
      connection: 'disconnected',
      updated: 1234,
      error: { kind: 'network' }
    });
    expect(names()).toEqual(['a']);
    server.list();
    await model.refresh();
    expect(model.snapshot).toMatchObject({
      connection: 'connected',
      error: null
    });
  });

  it('tells a server without our part from a controller that has no answer', async () => {
    server.answers.set(LIST, { status: 404, text: '<h1>Not found</h1>' });
    await model.refresh();
    expect(model.snapshot.connection).toBe('unavailable');
    const json = { error_code: 'TEMPORARILY_UNAVAILABLE', message: 'Wait.' };
    server.answers.set(LIST, { status: 503, json });
    await model.refresh();
    expect(model.snapshot).toMatchObject({
      connection: 'disconnected',
      error: { message: 'Wait.' }
    });
  });

  it('looks again and again while it is watched, and not after', async () => {
    server.list(endpoint('a', 'READY'));
    model.pollSeconds = 0.001;
    const watching = model.watch();
    await until(() => server.requests.length >= 3);
    watching.dispose();
    await rests(model['_poll'], 1);
    const asked = server.requests.length;
    await rests(model['_poll']);
    expect(server.requests.length).toBe(asked);
  });

  it('recovers by itself while it is watched', async () => {
    server.answers.set(LIST, { status: 502, text: 'Bad gateway' });
    model.pollSeconds = 0.001;
    const watching = model.watch();
    await until(({ connection }) => connection === 'disconnected');
    server.list(endpoint('a', 'READY'));
    await until(({ connection }) => connection === 'connected');
    watching.dispose();
    expect(names()).toEqual(['a']);
  });

  it('does not go back to an answer that was overtaken', async () => {
    model.pollSeconds = 0.05;
    let answerFirst: (value: object) => void = () => undefined;
    server.answers.set(LIST, () => {
      server.list(endpoint('new', 'READY'));
      return new Promise(resolve => {
        answerFirst = resolve;
      });
    });
    const first = model.refresh();
    while (server.requests.length === 0) {
      await new Promise(resolve => setTimeout(resolve, 1));
    }
    await model.refresh();
    answerFirst({ json: { endpoints: [endpoint('old', 'READY')] } });
    await first;
    await model['_poll'].tick;
    expect(server.requests.length).toBeGreaterThanOrEqual(2);
    expect(names()).toEqual(['new']);
  });

  it('tells only what changed between two looks', async () => {
    const watching = model.watch();
    server.list(endpoint('a', 'CREATING'), endpoint('b', 'FAILED'));
    await model.refresh();
    expect(told).toEqual([]);
    server.list(endpoint('a', 'READY'), endpoint('b', 'FAILED'));
    await model.refresh();
    await model.refresh();
    watching.dispose();
    expect(outcomes()).toEqual([['a', 'ready']]);
  });

  it('tells no old news after a rest', async () => {
    model.pollSeconds = 0.001;
    server.list(endpoint('a', 'CREATING'));
    const watching = model.watch();
    await model.refresh();
    watching.dispose();
    await rests(model['_poll']);
    server.list(endpoint('a', 'READY'));
    await model.refresh();
    expect(told).toEqual([]);
  });

  describe('act', () => {
    it.each([
      ['start', `POST ${PATH}/a/config:start`],
      ['stop', `POST ${PATH}/a/config:stop`],
      ['delete', `DELETE ${PATH}/a`]
    ] as const)('asks to %s, then looks again', async (verb, request) => {
      server.answers.set(request, {});
      server.list(endpoint('a', 'STOPPED'));
      await model.act(verb, 'a');
      const asked = server.requests.map(({ method, url }) => [
        method,
        url.slice(server.baseUrl.length).split('?')[0]
      ]);
      expect(asked.map(part => part.join(' '))).toEqual([request, LIST]);
      expect(model.snapshot.connection).toBe('connected');
    });

    it('is pending until the outcome is seen', async () => {
      server.answers.set(`POST ${PATH}/a/config:stop`, {});
      server.list(endpoint('a', 'STOPPED'));
      const acted = model.act('stop', 'a');
      expect(model.snapshot.pending.get('a')).toBe('stop');
      await acted;
      expect(model.snapshot.pending.size).toBe(0);
    });

    it("throws the server's reason, and is not pending any more", async () => {
      server.answers.set(`POST ${PATH}/a/config:stop`, {
        status: 409,
        json: { error_code: 'RESOURCE_CONFLICT', message: 'It is updating.' }
      });
      await expect(model.act('stop', 'a')).rejects.toThrow('It is updating.');
      expect(model.snapshot.pending.size).toBe(0);
    });

    it('follows a start to its end though nobody watches', async () => {
      model.pollSeconds = 0.001;
      server.answers.set(`POST ${PATH}/a/config:start`, {});
      server.list(endpoint('a', 'STOPPED'), endpoint('b', 'CREATING'));
      await model.refresh();
      server.list(endpoint('a', 'STARTING'), endpoint('b', 'CREATING'));
      await model.act('start', 'a');
      server.list(endpoint('a', 'READY'), endpoint('b', 'CREATING'));
      await until(() => model.find('a')?.live?.phase === 'READY');
      expect(outcomes()).toContainEqual(['a', 'ready']);
      expect(outcomes().filter(([name]) => name === 'b')).toEqual([]);
    });
  });
});
