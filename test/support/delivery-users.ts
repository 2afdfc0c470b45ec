/** A running delivery server with two users and the channel between them. For tests of the example. */
import { randomBytes } from 'node:crypto'
import { connectDelivery, type DeliveryConnection } from '../../examples/delivery-server/client.js'
import { type DeliveryServerOptions, startDeliveryServer } from '../../examples/delivery-server/server.js'

export interface DeliveryUser {
  readonly username: string
  readonly identityKey: Uint8Array
  readonly client: DeliveryConnection
}

export async function startDelivery(options: DeliveryServerOptions = {}) {
  const server = await startDeliveryServer({ port: 0, ...options })
  const clients: DeliveryConnection[] = []
  const connect = () => {
    const client = connectDelivery(server.address)
    clients.push(client)
    return client
  }
  return {
    server,
    connect,
    async addUser(username: string): Promise<DeliveryUser> {
      const client = connect()
      const identityKey = randomBytes(32)
      await client.register({ username, password: `${username}'s password`, identityKey })
      await client.login({ username, password: `${username}'s password` })
      return { username, identityKey, client }
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close()
      await server.stop({ graceMs: 1_000 })
    },
  }
}

export async function startDeliveryWithUsers(options: DeliveryServerOptions = {}) {
  const delivery = await startDelivery(options)
  const ada = await delivery.addUser('ada')
  const bob = await delivery.addUser('bob')
  const { channelId } = await ada.client.createChannel(bob.identityKey)
  const toBob = (text: string, overrides: { sealedSender?: boolean } = {}) => ({
    recipientKey: bob.identityKey,
    channelId,
    payload: Buffer.from(text),
    ...overrides,
  })
  return { ...delivery, ada, bob, channelId, toBob, [Symbol.asyncDispose]: delivery[Symbol.asyncDispose] }
}
