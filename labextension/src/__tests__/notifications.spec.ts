import { Notification } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { tell } from '../plugins/notifications';
import { CommandIDs } from '../tokens';
import type { Outcome } from '../transitions';
import type { Phase } from '../api';
import { endpoint } from './server';

const trans = nullTranslator.load('jupyter_serving');

describe('tell', () => {
  let commands: CommandRegistry;
  let opened: unknown[];

  beforeEach(() => {
    opened = [];
    commands = new CommandRegistry();
    commands.addCommand(CommandIDs.openLogs, {
      describedBy: { args: null },
      execute: args => opened.push(args.name)
    });
  });

  afterEach(() => {
    Notification.dismiss();
  });

  function told(
    to: Phase,
    outcome: Outcome,
    message = ''
  ): Notification.INotification[] {
    const subject = endpoint('iris', to, {}, { message });
    tell({ endpoint: subject, from: 'CREATING', to, outcome }, commands, trans);
    return Notification.manager.notifications;
  }

  it('says nothing of a mere change', () => {
    expect(told('STOPPED', null)).toEqual([]);
  });

  it('tells that an endpoint is ready, and goes by itself', () => {
    const [toast] = told('READY', 'ready');
    expect(toast.message).toBe('Endpoint “iris” is ready.');
    expect(toast.type).toBe('success');
    expect(toast.options.autoClose).toBeGreaterThan(0);
  });

  it('tells a failure with its reason, stays, and leads to the logs', () => {
    const [toast] = told('FAILED', 'failed', 'No module named x');
    expect(toast.message).toContain('No module named x');
    expect(toast.type).toBe('error');
    expect(toast.options.autoClose).toBe(false);
    const [action] = toast.options.actions ?? [];
    action.callback(new MouseEvent('click'));
    expect(opened).toEqual(['iris']);
  });

  it('tells that a failed update took nothing away', () => {
    const [toast] = told('UPDATE_FAILED', 'failed');
    expect(toast.message).toContain('the version before it serves on');
  });

  it('offers a long reason in full', () => {
    const [toast] = told('FAILED', 'failed', 'x'.repeat(200));
    const labels = toast.options.actions?.map(({ label }) => label);
    expect(labels).toEqual(['Details', 'Show logs']);
  });

  it('offers no logs where their plugin is disabled', () => {
    commands = new CommandRegistry();
    const [toast] = told('FAILED', 'failed');
    expect(toast.options.actions).toEqual([]);
  });
});
