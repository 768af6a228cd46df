/**
 * The verbs on endpoints: buttons, context menu and palette run these.
 */

import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { addCommands } from '../commands';
import { CommandIDs, DOMAIN, IServingModel } from '../tokens';

/** Start, stop, delete, copy, refresh. */
export const commandsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-serving:commands',
  description: 'Adds the commands that act on serving endpoints.',
  autoStart: true,
  requires: [IServingModel],
  optional: [ITranslator, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: IServingModel,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ): void => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const ids = [
      CommandIDs.start,
      CommandIDs.stop,
      CommandIDs.remove,
      CommandIDs.copyUrl,
      CommandIDs.copyExample,
      CommandIDs.refresh
    ];
    addCommands({ app, model, trans });
    for (const command of ids) {
      palette?.addItem({ command, category: trans.__('Serving') });
    }
    model.changed.connect(() => {
      for (const id of ids) {
        app.commands.notifyCommandChanged(id);
      }
    }, model);
  }
};
