import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

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
