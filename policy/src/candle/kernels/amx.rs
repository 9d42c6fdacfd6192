//! Products of bf16 tiles with f32 sums on Intel's AMX, if the CPU and the operating system support it.
//!
//! `TDPBF16PS` is specified bit for bit (Intel SDM, volume 2): within a tile of [`DEPTH`] inputs, one chain
//! of fused multiply-adds runs over the even inputs and one over the odd ones, and their sum is added to
//! the result. [`super::packed_bf16`] computes the same bits without AMX. Denormals count as zero here.

use std::arch::asm;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::packed_bf16::{DEPTH, TILE_ROWS};
use super::panels::PANEL;

/// Products of two tiles of rows with one panel, `[32, PANEL]`.
type Results = [f32; 2 * TILE_ROWS * PANEL];

/// The configured tile registers of this thread; released on drop. Not `Send`, because the configuration
/// belongs to the thread.
pub(super) struct Tiles(PhantomData<*const ()>);

/// Operand of `LDTILECFG` (Intel SDM, volume 1, 18.3).
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// Configures the tiles; `None` if the CPU or the operating system does not support them.
    pub(super) fn new() -> Option<Self> {
        static AVAILABLE: OnceLock<bool> = OnceLock::new();
        if !*AVAILABLE.get_or_init(|| supported() && permitted()) {
            return None;
        }
        let mut configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_per_row: [0; 16],
            rows: [0; 16],
        };
        configuration.bytes_per_row[..8].fill(64);
        configuration.rows[..8].fill(TILE_ROWS as u8);
        // SAFETY: the instruction exists and the operating system lets this process use it, checked
        // above; it reads 64 bytes of a valid configuration.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack)) };
        Some(Self(PhantomData))
    }

    /// Multiplies 32 rows by a panel: x `[32, pairs]`, the panel's weights, out `[32, PANEL]`.
    #[inline]
    pub(super) fn multiply_32(&self, x: &[u32], weights: &[u32], out: &mut Results) {
        let pairs = weights.len() / PANEL;
        assert!(pairs > 0 && pairs.is_multiple_of(DEPTH / 2) && weights.len() == pairs * PANEL);
        assert!(x.len() >= 2 * TILE_ROWS * pairs);
        let out = out.as_mut_ptr();
        // SAFETY: (1) `self` shows that the instructions may be used and are configured for tiles of
        // 16 rows of 64 bytes; (2) the loop reads rows of 64 bytes at `x + r * pairs` for r below 32
        // and 2 KiB of weights for each of `pairs / 16` steps, inside both slices as asserted; (3) it
        // writes the 32 x 32 values of `out`; (4) no other code touches tile registers.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{low} + {row}*1]",
                "tileloadd tmm6, [{weights} + {line}*1]",
                "tileloadd tmm7, [{weights} + {line}*1 + 1024]",
                "tileloadd tmm5, [{high} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {low}, 64",
                "add {high}, 64",
                "add {weights}, 2048",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {out_row}*1], tmm0",
                "tilestored [{out} + {out_row}*1 + 64], tmm1",
                "tilestored [{out_high} + {out_row}*1], tmm2",
                "tilestored [{out_high} + {out_row}*1 + 64], tmm3",
                low = inout(reg) x.as_ptr() => _,
                high = inout(reg) x.as_ptr().add(TILE_ROWS * pairs) => _,
                weights = inout(reg) weights.as_ptr() => _,
                steps = inout(reg) pairs / (DEPTH / 2) => _,
                row = in(reg) pairs * size_of::<u32>(),
                line = in(reg) 64_usize,
                out = in(reg) out,
                out_high = in(reg) out.add(TILE_ROWS * PANEL),
                out_row = in(reg) PANEL * size_of::<f32>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// Like [`Self::multiply_32`] for 16 rows; the second half of `out` is unchanged.
    #[inline]
    pub(super) fn multiply_16(&self, x: &[u32], weights: &[u32], out: &mut Results) {
        let pairs = weights.len() / PANEL;
        assert!(pairs > 0 && pairs.is_multiple_of(DEPTH / 2) && weights.len() == pairs * PANEL);
        assert!(x.len() >= TILE_ROWS * pairs);
        // SAFETY: as in `multiply_32`, for the first 16 rows only.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "2:",
                "tileloadd tmm4, [{x} + {row}*1]",
                "tileloadd tmm6, [{weights} + {line}*1]",
                "tileloadd tmm7, [{weights} + {line}*1 + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "add {x}, 64",
                "add {weights}, 2048",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {out_row}*1], tmm0",
                "tilestored [{out} + {out_row}*1 + 64], tmm1",
                x = inout(reg) x.as_ptr() => _,
                weights = inout(reg) weights.as_ptr() => _,
                steps = inout(reg) pairs / (DEPTH / 2) => _,
                row = in(reg) pairs * size_of::<u32>(),
                line = in(reg) 64_usize,
                out = in(reg) out.as_mut_ptr(),
                out_row = in(reg) PANEL * size_of::<f32>(),
                out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// Prefetches `words` into the L2 cache.
#[inline]
pub(super) fn prefetch(words: &[u32]) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    for line in words.chunks(64 / size_of::<u32>()) {
        // SAFETY: a hint that reads nothing and cannot fault; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: `self` shows that the instruction exists; nothing is left in the tiles.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}

/// Whether the CPU has tiles with bf16 and the operating system saves their state.
fn supported() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const SAVED_BY_SYSTEM: u32 = 1 << 27;
    const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
    const TILE_STATE: u32 = 3 << 17;
    if __cpuid(0).eax < 7
        || __cpuid(1).ecx & SAVED_BY_SYSTEM == 0
        || __cpuid_count(7, 0).edx & BF16_AND_TILES != BF16_AND_TILES
    {
        return false;
    }
    let saved: u32;
    // SAFETY: the instruction exists where the operating system saves extended state (OSXSAVE).
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") saved, out("edx") _, options(nomem, nostack));
    }
    saved & TILE_STATE == TILE_STATE
}

/// Requests permission from Linux (required since 5.16) to use the tiles, for all threads of the process.
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and touches no memory of this process.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}
