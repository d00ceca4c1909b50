//! Memory that is not needed any more goes back to the system: what was freed, and the pages of
//! code that only the start ran.
//!
//! Called once the start is over and after a flood of sockets. Both cost later users of that
//! memory a page fault each and nothing else.

use std::ops::Range;

/// Gives back what can be given back; nothing on systems that do so by themselves.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        trim_heap();
        match std::fs::read_to_string("/proc/self/maps") {
            Ok(maps) => code_of(&maps).for_each(unmap_code),
            // Nothing but a figure is worse without it.
            Err(error) => tracing::debug!(%error, "code pages stay mapped"),
        }
    }
}

/// The allocator keeps what was freed, as it may be wanted again.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the allocator is asked by its C function")]
fn trim_heap() {
    // SAFETY: the function takes no memory of ours and may be called at any time by any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Where the code of the program and its libraries is mapped: from a file, to be read and run.
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "asked for on Linux alone")
)]
fn code_of(maps: &str) -> impl Iterator<Item = Range<usize>> {
    maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        if fields.next()? != "r-xp" || fields.nth(2)? == "0" {
            return None;
        }
        let address = |text| usize::from_str_radix(text, 16).ok();
        Some(address(from)?..address(to)?)
    })
}

/// The system maps neighbours of a touched page too, so after the start nearly all code counts as
/// resident. Unmapped, only what runs from now on does; the rest stays in the page cache as long
/// as there is room for it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the system is asked by its C function")]
fn unmap_code(code: Range<usize>) {
    let start = std::ptr::without_provenance_mut(code.start);
    // SAFETY: the pages are those of a file, mapped for reading and running alone: each is as the
    // file has it, and is mapped again as soon as it is touched.
    unsafe { libc::madvise(start, code.len(), libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_found() {
        let maps = "55d0000-55d1000 r--p 00000000 fe:01 10 /usr/bin/x\n\
                    55d1000-55d3000 r-xp 00001000 fe:01 10 /usr/bin/x\n\
                    55d3000-55d4000 rw-p 00003000 fe:01 10 /usr/bin/x\n\
                    7f00000-7f01000 r-xp 00000000 00:00 0\n\
                    7ff0000-7ff2000 r-xp 00000000 00:00 0 [vdso]\n\
                    nonsense\n";
        let found: Vec<_> = code_of(maps).collect();
        assert_eq!(found, vec![0x55d_1000..0x55d_3000]);
    }

    #[test]
    fn the_program_goes_on_without_it() {
        give_back();
        assert_eq!("still here".len(), 10);
        give_back();
    }
}
