import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import "./jpeg.css";

interface JpegProps {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly label: string;
  readonly onSize?: (width: number, height: number) => void;
}

/**
 * Draws a JPEG picture on a canvas. While one is decoded, newer ones replace each other: a peer that sends faster than the browser
 * decodes does not pile up pictures.
 */
export function Jpeg({ bytes, label, onSize }: JpegProps): VNode {
  const canvas = useRef<HTMLCanvasElement>(null);
  const next = useRef<Uint8Array<ArrayBuffer> | undefined>(undefined);
  const isDecoding = useRef(false);
  const [isWrong, setWrong] = useState(false);
  useEffect(() => {
    next.current = bytes;
    if (!isDecoding.current) void decode();
  }, [bytes]);
  const decode = async (): Promise<void> => {
    isDecoding.current = true;
    for (let picture = next.current; picture !== undefined; picture = next.current) {
      next.current = undefined;
      setWrong(!(await drawn(canvas.current, picture, onSize)));
    }
    isDecoding.current = false;
  };
  return (
    <div class="jpeg">
      <canvas ref={canvas} role="img" aria-label={label} width={4} height={3} />
      {isWrong && <p class="jpeg-wrong">The last picture cannot be decoded.</p>}
    </div>
  );
}

async function drawn(
  canvas: HTMLCanvasElement | null,
  picture: Uint8Array<ArrayBuffer>,
  onSize: JpegProps["onSize"],
): Promise<boolean> {
  if (!isDrawable(picture)) return false;
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([picture], { type: "image/jpeg" }));
  } catch {
    return false;
  }
  const { width, height } = bitmap;
  if (canvas !== null) {
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      onSize?.(width, height);
    }
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  }
  bitmap.close();
  return true;
}

/** The largest picture that is drawn. A few bytes can claim far more, and decoding them would take gigabytes. */
const maxPixels = 2 ** 25;

/** Whether the frame header (ITU-T T.81 section B.2.2) says that the picture is of a size that can be drawn. */
function isDrawable(picture: Uint8Array<ArrayBuffer>): boolean {
  const view = new DataView(picture.buffer, picture.byteOffset, picture.byteLength);
  // The segments are after the two bytes that begin each JPEG.
  for (let at = 2; at + 9 <= view.byteLength && view.getUint8(at) === 0xff;) {
    const marker = view.getUint8(at + 1);
    // DHT, JPG and DAC are in the range of the frame headers.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      return view.getUint16(at + 5) * view.getUint16(at + 7) <= maxPixels;
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return false;
}
