/**
 * The sidebar: one section with the list of endpoints.
 */

import type { ITranslator } from '@jupyterlab/translation';
import {
  PanelWithToolbar,
  SidePanel,
  ToolbarButton,
  refreshIcon
} from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';

import { servingIcon } from '../icons';
import { DOMAIN, SIDEBAR_ID } from '../tokens';
import type { IServingModel } from '../tokens';
import { EndpointsWidget } from './endpoints';

/** What the sidebar is made of. */
export interface ISidebarOptions {
  model: IServingModel;
  commands: CommandRegistry;
  translator: ITranslator;
}

/** The sidebar. */
export class ServingSidebar extends SidePanel {
  constructor({ model, commands, translator }: ISidebarOptions) {
    super({ translator });
    const trans = translator.load(DOMAIN);
    this.id = SIDEBAR_ID;
    this.addClass('jp-serving-Sidebar');
    this.title.icon = servingIcon;
    this.title.caption = trans.__('Model Serving');
    const section = new PanelWithToolbar();
    section.addClass('jp-serving-Section');
    section.title.label = trans.__('Endpoints');
    section.toolbar.addItem(
      'refresh',
      new ToolbarButton({
        icon: refreshIcon,
        tooltip: trans.__('Refresh endpoints'),
        onClick: () => void model.refresh()
      })
    );
    section.addWidget(new EndpointsWidget({ model, commands, trans }));
    this.addWidget(section);
  }
}
