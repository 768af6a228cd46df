/**
 * React's side of the models.
 */

import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

/** Anything with a snapshot and a signal that tells of the next. */
interface ISource<S, T> {
  readonly snapshot: T;
  readonly changed: ISignal<S, T>;
}

/** The newest snapshot of a model; the component is drawn again when there is another. */
export function useSnapshot<S, T>(source: ISource<S, T>): T {
  const [snapshot, setSnapshot] = React.useState(source.snapshot);
  useSignal(source.changed, setSnapshot);
  return snapshot;
}

/** Call a function with each emission of a signal, as long as the component lives. */
export function useSignal<S, T>(
  signal: ISignal<S, T>,
  listener: (value: T) => void
): void {
  const newest = React.useRef(listener);
  newest.current = listener;
  React.useEffect(() => {
    const slot = (_: S, value: T): void => newest.current(value);
    signal.connect(slot);
    return () => {
      signal.disconnect(slot);
    };
  }, [signal]);
}
