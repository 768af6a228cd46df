/**
 * Toasts for what happens without a person looking: an endpoint became ready, or failed.
 */

import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import { toastFailure } from '../toasts';
import { CommandIDs, DOMAIN, IServingModel } from '../tokens';
import type { ITransition } from '../transitions';

function action(
  commands: CommandRegistry,
  id: string,
  name: string,
  label: string
): Notification.IAction[] {
  if (!commands.hasCommand(id)) {
    return [];
  }
  return [{ label, callback: () => void commands.execute(id, { name }) }];
}

/** Tell the end of a deployment, an update or a start. */
export function tell(
  { endpoint, to, outcome }: ITransition,
  commands: CommandRegistry,
  trans: TranslationBundle
): void {
  const { name, live } = endpoint;
  if (outcome === 'ready') {
    Notification.success(trans.__('Endpoint “%1” is ready.', name), {
      autoClose: 5000,
      actions: action(
        commands,
        CommandIDs.copyUrl,
        name,
        trans.__('Copy invocation URL')
      )
    });
  } else if (outcome === 'failed') {
    const text =
      to === 'UPDATE_FAILED'
        ? trans.__(
            'The update of endpoint “%1” failed; the version before it serves on.',
            name
          )
        : trans.__('Endpoint “%1” failed.', name);
    const logs = action(
      commands,
      CommandIDs.openLogs,
      name,
      trans.__('Show logs')
    );
    toastFailure(text, live?.message ?? '', logs, trans);
  }
}

/** Toasts; disable this plugin to do without them. */
export const notificationsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-serving:notifications',
  description: 'Tells when a serving endpoint becomes ready or fails.',
  autoStart: true,
  requires: [IServingModel],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: IServingModel,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    model.transitioned.connect((_, transitions) => {
      for (const transition of transitions) {
        tell(transition, app.commands, trans);
      }
    }, model);
  }
};
