/** The cluster plugin's options. Pure. */

import { z } from 'zod/v4'
import type { ClusterConfig, Takes } from '../../contracts/plugin-configs.js'
import { redisAddress } from '../redis/address.js'

export type { ClusterConfig }

const WEEK_MS = 7 * 86_400_000

export const clusterConfig = z
  .strictObject({
    ...redisAddress,
    /** This broker's name in the cluster; no two may have the same. */
    nodeId: z.string().min(1).max(128),
    heartbeatIntervalMs: z.int().min(50).max(3_600_000).default(3_000),
    /** A node that was not heard of for this long is dead. */
    nodeTtlMs: z.int().min(100).max(86_400_000).default(10_000),
    /** Messages in a session's queue; past it the oldest goes. */
    queueMax: z.int().min(1).max(1_000_000).default(1_000),
    /** Bytes in a session's queue; past it the oldest goes. One message has always room. */
    queueMaxBytes: z
      .int()
      .min(1_024)
      .max(2 ** 31)
      .default(16 * 1024 * 1024),
    /** A session whose client has been away for this long ends, and its queue with it. */
    sessionExpiryMs: z.int().min(200).max(Number.MAX_SAFE_INTEGER).default(WEEK_MS),
    /** How long a node waits for another one to let go of a session. */
    takeoverMs: z.int().min(1).max(60_000).default(500),
    /** Tells brokers of one process apart; set by cluster(). */
    instance: z.string().max(64).default(''),
  })
  .refine(({ heartbeatIntervalMs, nodeTtlMs }) => nodeTtlMs >= 2 * heartbeatIntervalMs, {
    path: ['nodeTtlMs'],
    message: 'must be at least twice heartbeatIntervalMs, or a late heartbeat is a death',
  })
  .refine(({ heartbeatIntervalMs, sessionExpiryMs }) => sessionExpiryMs >= 4 * heartbeatIntervalMs, {
    path: ['sessionExpiryMs'],
    message: 'must be at least four times heartbeatIntervalMs, or sessions of connected clients would end',
  })
true satisfies Takes<typeof clusterConfig, ClusterConfig>
export type ResolvedClusterConfig = z.output<typeof clusterConfig>
