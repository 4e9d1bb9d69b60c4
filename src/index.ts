/**
 * Espalier as a library:
 *
 *     import { Gateway } from 'espalier';
 *     const gateway = await Gateway.start('gateway.yaml');
 *     await gateway.up('home');
 */
export type { CipherSuite } from './algorithms.ts';
export type * from './contract.ts';
export { ConfigError, type ConfigProblem } from './control/config/error.ts';
export { type LoadedConfig, loadConfig } from './control/config/load.ts';
export type { ConfigInput } from './control/config/schema.ts';
export type { Logger } from './control/control-plane.ts';
export type { IkeEvent } from './control/ike/effects.ts';
export type { ReloadResult } from './control/manage/api.ts';
export { ControlClient } from './control/manage/client.ts';
export type {
  ChildSaState,
  ChildSaStatus,
  GatewayStatus,
  IkeSaState,
  IkeSaStatus,
  ManualSaStatus,
  PolicyStatus,
  TrappedChildStatus,
} from './control/manage/status.ts';
export { explainProposal } from './control/proposals/explain.ts';
export type { CreateBackend, CryptoBackend, KernelMemory } from './dataplane/backends/backend.ts';
export { startDataPlane } from './dataplane/engine.ts';
export { createLink, type Link } from './dataplane/io/link.ts';
export { EspalierError } from './errors.ts';
export { Gateway, type GatewayEvents, type GatewayOptions } from './gateway.ts';
