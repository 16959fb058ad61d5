import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Circle, cellOf, distanceKm, enclose, HALF_WAY_ROUND_KM, leastDistanceKm, type Point } from './geo.ts';

const munich = { latitude: 48.1374, longitude: 11.5755 };
const potsdam = { latitude: 52.3906, longitude: 13.0645 };

const point: fc.Arbitrary<Point> = fc.record({
  latitude: fc.double({ min: -90, max: 90, noNaN: true }),
  longitude: fc.double({ min: -180, max: 180, noNaN: true }),
});
const circle: fc.Arbitrary<Circle> = fc.record({
  position: point,
  radiusKm: fc.double({ min: 0, max: 500, noNaN: true }),
  weight: fc.integer({ min: 1, max: 9 }),
});

describe('distances', () => {
  it.each([
    ['Munich to Potsdam', munich, potsdam, 484.4],
    ['across the antimeridian', { latitude: 0, longitude: 179.5 }, { latitude: 0, longitude: -179.5 }, 111.195],
    ['both ends of the antimeridian', { latitude: 12, longitude: 180 }, { latitude: 12, longitude: -180 }, 0],
    ['at the pole all longitudes meet', { latitude: 90, longitude: 0 }, { latitude: 90, longitude: 137 }, 0],
    ['over the pole', { latitude: 89, longitude: 0 }, { latitude: 89, longitude: 180 }, 222.39],
    ['pole to pole', { latitude: 90, longitude: 5 }, { latitude: -90, longitude: 80 }, HALF_WAY_ROUND_KM],
    ['antipodes', { latitude: 0, longitude: 0 }, { latitude: 0, longitude: 180 }, HALF_WAY_ROUND_KM],
  ])('%s', (_name, a, b, km) => {
    expect(distanceKm(a, b)).toBeCloseTo(km, 0);
    expect(distanceKm(b, a)).toBeCloseTo(distanceKm(a, b), 9);
  });

  it('are a metric on the sphere, with the difference of latitudes as a lower bound', () => {
    fc.assert(
      fc.property(point, point, point, (a, b, c) => {
        expect(distanceKm(a, a)).toBe(0);
        expect(distanceKm(a, c)).toBeLessThanOrEqual(distanceKm(a, b) + distanceKm(b, c) + 1e-3);
        expect(leastDistanceKm(a, b)).toBeLessThanOrEqual(distanceKm(a, b) + 1e-3);
      }),
    );
  });
});

describe('cells and circles', () => {
  it('nests cells: who shares a cell shares every larger one', () => {
    fc.assert(
      fc.property(point, point, fc.integer({ min: 1, max: 16 }), (a, b, bits) => {
        if (cellOf(a, bits) === cellOf(b, bits)) expect(cellOf(a, bits - 1)).toBe(cellOf(b, bits - 1));
      }),
    );
  });

  it('encloses every circle, and stays in their cell', () => {
    fc.assert(
      fc.property(fc.array(circle, { minLength: 1, maxLength: 8 }), fc.integer({ min: 0, max: 4 }), (circles, bits) => {
        const around = enclose(circles);
        for (const { position, radiusKm } of circles)
          expect(distanceKm(around.position, position) + radiusKm).toBeLessThanOrEqual(around.radiusKm + 1e-6);
        const cells = new Set(circles.map(({ position }) => cellOf(position, bits)));
        if (cells.size === 1) expect(cells.has(cellOf(around.position, bits))).toBe(true);
      }),
    );
  });

  it('leaves nodes at one place exactly there', () => {
    const one = { position: munich, radiusKm: 0, weight: 1 };
    expect(enclose([one, { ...one, weight: 2 }, one])).toEqual({ position: munich, radiusKm: 0 });
  });
});
