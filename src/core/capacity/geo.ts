/** Positions on the globe: distances, and the nested cells in which summaries gather neighbours. */

export interface Point {
  readonly latitude: number;
  readonly longitude: number;
}

/** The IUGG mean radius R1. */
export const EARTH_RADIUS_KM = 6371.0088;
/** No two places are farther apart, up to the error of the sphere. */
export const HALF_WAY_ROUND_KM = Math.PI * EARTH_RADIUS_KM;

/** A circle of this radius holds every place; to whole metres. */
const WHOLE_GLOBE_KM = Math.ceil(HALF_WAY_ROUND_KM * 1000) / 1000;

const RADIANS_PER_DEGREE = Math.PI / 180;
const KM_PER_DEGREE = EARTH_RADIUS_KM * RADIANS_PER_DEGREE;

/**
 * Great-circle distance by the haversine formula (R. W. Sinnott, Virtues of the Haversine, 1984), which stays
 * exact for near points and needs no case for the antimeridian or the poles. Within 0.5 % of the ellipsoid.
 */
export function distanceKm(a: Point, b: Point): number {
  const sinLatitude = Math.sin(((b.latitude - a.latitude) * RADIANS_PER_DEGREE) / 2);
  const sinLongitude = Math.sin(((b.longitude - a.longitude) * RADIANS_PER_DEGREE) / 2);
  const h =
    sinLatitude * sinLatitude +
    Math.cos(a.latitude * RADIANS_PER_DEGREE) * Math.cos(b.latitude * RADIANS_PER_DEGREE) * sinLongitude * sinLongitude;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, h)));
}

/** The distance is never less than this, which costs no trigonometry. */
export function leastDistanceKm(a: Point, b: Point): number {
  return Math.abs(a.latitude - b.latitude) * KM_PER_DEGREE;
}

/**
 * The cell that holds `position` when the globe is cut into squares of 360 / 2^bits degrees. Cells of fewer
 * bits are made of whole cells of more bits.
 */
export function cellOf(position: Point, bits: number): string {
  const cellsPerDegree = 2 ** bits / 360;
  return `${Math.floor((position.latitude + 90) * cellsPerDegree)},${Math.floor((position.longitude + 180) * cellsPerDegree)}`;
}

/** A circle of nodes: `weight` of them within `radiusKm` of `position`. */
export interface Circle {
  readonly position: Point;
  readonly radiusKm: number;
  readonly weight: number;
}

/**
 * A circle around all of `circles`, its centre their weighted mean. Taken in degrees, the mean lies in the
 * same cell as they do, whatever the size of the cell: gathering again changes nothing.
 */
export function enclose(circles: readonly Circle[]): { position: { latitude: number; longitude: number }; radiusKm: number } {
  const position = { latitude: meanOf(circles, 'latitude'), longitude: meanOf(circles, 'longitude') };
  let radiusKm = 0;
  for (const circle of circles) radiusKm = Math.max(radiusKm, distanceKm(position, circle.position) + circle.radiusKm);
  // To whole metres, upwards: nobody stands outside, and equal circles stay equal.
  return { position, radiusKm: Math.min(Math.max(0, Math.ceil(radiusKm * 1000 - 1e-6)) / 1000, WHOLE_GLOBE_KM) };
}

function meanOf(circles: readonly Circle[], axis: keyof Point): number {
  let sum = 0;
  let weight = 0;
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const circle of circles) {
    const value = circle.position[axis];
    sum += value * circle.weight;
    weight += circle.weight;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return Math.min(most, Math.max(least, sum / weight));
}
