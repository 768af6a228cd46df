/**
 * The sidebar with the endpoints.
 */

import { ILayoutRestorer } from '@jupyterlab/application';
import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { ServingSidebar } from '../components/sidebar';
import { servingIcon } from '../icons';
import { CommandIDs, DOMAIN, IServingModel, SIDEBAR_ID } from '../tokens';

/** Place in the activity bar: 501 to 899 are for extensions. */
const RANK = 550;

/** The sidebar, and the command that shows it. */
export const sidebarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-serving:sidebar',
  description: 'Lists the serving endpoints in the sidebar.',
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
    const sidebar = new ServingSidebar({
      model,
      commands: app.commands,
      translator: translator ?? nullTranslator
    });
    app.shell.add(sidebar, 'left', { rank: RANK });
    restorer?.add(sidebar, SIDEBAR_ID);
    app.commands.addCommand(CommandIDs.showPanel, {
      label: trans.__('Show Endpoints'),
      caption: trans.__('Show the serving endpoints in the sidebar'),
      icon: servingIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(SIDEBAR_ID)
    });
    palette?.addItem({
      command: CommandIDs.showPanel,
      category: trans.__('Serving')
    });
  }
};
