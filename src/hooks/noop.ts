/**
 * The noop plugin: subscribes to every hookpoint of delivery@1 and lets everything pass. Runs in a lane. It is what to
 * register to see what the way through the ring costs; a server that wants no hooks registers no plugin.
 */
import { delivery } from '../contracts/delivery.js'
import { definePlugin } from '../plugin/index.js'

export default definePlugin(delivery, {
  name: 'noop',
  setup() {
    return {
      onMessageEnqueue() {},
      onBatchEnqueue() {},
      onAuth() {},
      onChannelCreated() {},
      onFetch() {},
      onUserRegistered() {},
    }
  },
})
