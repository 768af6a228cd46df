/**
 * Provides the endpoints of the server to the other plugins, and to other extensions.
 */

import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { ServingApi } from '../api';
import { ServingModel } from '../model';
import { IServingModel } from '../tokens';

/** Where the settings are; `schema/plugin.json`. */
const PLUGIN_ID = 'jupyter-serving:plugin';

async function applySettings(
  model: ServingModel,
  registry: ISettingRegistry
): Promise<void> {
  const settings = await registry.load(PLUGIN_ID);
  const apply = (): void => {
    model.pollSeconds = settings.get('pollSeconds').composite as number;
  };
  apply();
  settings.changed.connect(apply, model);
}

/** Never fails for want of the server's part: the model says so, and the panel explains. */
export const modelPlugin: JupyterFrontEndPlugin<IServingModel> = {
  id: PLUGIN_ID,
  description: 'Keeps the list of serving endpoints fresh.',
  autoStart: true,
  provides: IServingModel,
  optional: [ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    registry: ISettingRegistry | null
  ): IServingModel => {
    const api = new ServingApi(app.serviceManager.serverSettings);
    const model = new ServingModel({ api });
    if (registry) {
      // without settings the model keeps its default interval
      applySettings(model, registry).catch(() => undefined);
    }
    return model;
  }
};
