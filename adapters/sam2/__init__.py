"""SAM 2 and 2.1 (Ravi et al. 2024) as a member, on the building blocks of package ``sam2``.

config      what a network is made of: from a checkpoint's shapes, a name, or stored with it
package     imports ``sam2`` without letting it touch Hydra's global state
model       `build` a module, `load` a checkpoint into it, `to_official` and back
network     a module on a device: encode a frame, take a mask, follow objects, make memory
steps       what passes between the steps of a network
lean        work that the package repeats, done once
memories    what one object remembers, bounded, and which of its masks are taken
tracker     all objects of one video, batched, frame by frame
scaling     mask scaling, local configurations and their merging
options     how objects are followed, whichever package runs the network
holes       small holes in masks
segmenter   the adapter
"""

from adapters.sam2.segmenter import Sam2Segmenter

__all__ = ["Sam2Segmenter"]
