/**
 * Logs and history of an endpoint in the main area.
 */

import { ILayoutRestorer } from '@jupyterlab/application';
import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, WidgetTracker } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { listIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { ENDPOINT_ARGS, chosenEndpoint } from '../choice';
import type { ICommandContext } from '../choice';
import type { LogWidget } from '../components/logview';
import { CommandIDs, DOMAIN, IServingModel } from '../tokens';

/** Show the logs of an endpoint: the widget that has them already, or a new one. */
async function openLogs(
  context: ICommandContext,
  tracker: WidgetTracker<LogWidget>,
  name: string,
  wantedTab: unknown
): Promise<LogWidget> {
  const { app, model, trans } = context;
  const [{ LogWidget }, { LOG_TABS, LogsModel }] = await Promise.all([
    import('../components/logview'),
    import('../logs')
  ]);
  const tab = LOG_TABS.find(known => known === wantedTab);
  const open = tracker.find(widget => widget.model.name === name);
  if (open) {
    if (tab) {
      open.model.selectTab(tab);
    }
    app.shell.activateById(open.id);
    return open;
  }
  const logs = new LogsModel({
    api: model.api,
    name,
    tab,
    pollSeconds: model.pollSeconds
  });
  const widget = new LogWidget({ model: logs, trans });
  logs.changed.connect(() => void tracker.save(widget), widget);
  const beside = tracker.currentWidget;
  app.shell.add(
    widget,
    'main',
    beside ? { ref: beside.id, mode: 'tab-after' } : { mode: 'split-bottom' }
  );
  await tracker.add(widget);
  app.shell.activateById(widget.id);
  return widget;
}

/** The command `jupyter-serving:open-logs` and the widgets that it opens. */
export const logsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-serving:logs',
  description: 'Shows the logs and the history of a serving endpoint.',
  autoStart: true,
  requires: [IServingModel],
  optional: [ITranslator, ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    model: IServingModel,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ): void => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const context = { app, model, trans };
    const tracker = new WidgetTracker<LogWidget>({
      namespace: 'jupyter-serving-logs'
    });
    app.commands.addCommand(CommandIDs.openLogs, {
      label: args =>
        args.name || args.contextMenu
          ? trans.__('Open Logs')
          : trans.__('Open Logs of Endpoint…'),
      caption: args =>
        typeof args.name === 'string'
          ? trans.__('Open logs of %1', args.name)
          : trans.__('Open the logs and the history of an endpoint'),
      icon: listIcon,
      describedBy: {
        args: {
          ...ENDPOINT_ARGS,
          properties: {
            ...(ENDPOINT_ARGS.properties as ReadonlyPartialJSONObject),
            tab: {
              type: 'string',
              description: 'What to show first: service, build or events'
            }
          }
        }
      },
      execute: async args => {
        const title = trans.__('Open Logs');
        const chosen = await chosenEndpoint(context, args, title);
        return chosen
          ? openLogs(context, tracker, chosen.name, args.tab)
          : null;
      }
    });
    palette?.addItem({
      command: CommandIDs.openLogs,
      category: trans.__('Serving')
    });
    void restorer?.restore(tracker, {
      command: CommandIDs.openLogs,
      args: ({ model: { name, snapshot } }) => ({ name, tab: snapshot.tab }),
      name: ({ model: { name } }) => name
    });
  }
};
