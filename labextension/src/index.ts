/**
 * The plugins of jupyter-serving, each of which can be disabled by its id.
 */

import { commandsPlugin } from './plugins/commands';
import { logsPlugin } from './plugins/logs';
import { modelPlugin } from './plugins/model';
import { notificationsPlugin } from './plugins/notifications';
import { sidebarPlugin } from './plugins/sidebar';

export { IServingModel } from './tokens';
export type { Connection, ISnapshot, Verb } from './tokens';
export type { IEndpoint, ILive, IServedEntity, Phase } from './api';
export type { ITransition } from './transitions';

export default [
  modelPlugin,
  commandsPlugin,
  logsPlugin,
  notificationsPlugin,
  sidebarPlugin
];
