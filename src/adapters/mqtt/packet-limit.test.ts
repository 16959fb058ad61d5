import fc from 'fast-check';
import mqttPacket from 'mqtt-packet';
import { expect, it } from 'vitest';
import { PacketLimit } from './packet-limit.ts';

const packets = fc.array(
  fc.oneof(
    fc
      .integer({ min: 0, max: 300 })
      .map((size) =>
        mqttPacket.generate({ cmd: 'publish', topic: 't', payload: Buffer.alloc(size), qos: 0, dup: false, retain: false }),
      ),
    fc.constant(mqttPacket.generate({ cmd: 'pingreq' })),
  ),
);

it('lets everything within the limit pass, however it is cut into pieces, and finds the one beyond', () => {
  fc.assert(
    fc.property(packets, fc.array(fc.nat(50)), fc.boolean(), (sent, cuts, tooLong) => {
      const long = Buffer.from([0x30, 0xb0, 0x03]);
      const bytes = Buffer.concat(tooLong ? [...sent, long] : sent);
      const limit = new PacketLimit(400);
      let passes = true;
      let at = 0;
      for (const size of cuts) {
        passes &&= limit.passes(bytes.subarray(at, at + size));
        at += size;
      }
      passes &&= limit.passes(bytes.subarray(at));
      expect(passes).toBe(!tooLong);
    }),
  );
});

it('takes no length of more than four bytes', () => {
  expect(new PacketLimit(2 ** 40).passes(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80]))).toBe(false);
  expect(new PacketLimit(2 ** 40).passes(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x01]))).toBe(true);
});
