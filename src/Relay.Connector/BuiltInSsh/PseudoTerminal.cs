using System.Text;

namespace Relay.Connector.BuiltInSsh;

/// <summary>A pseudo-terminal: we hold the master, the program gets the terminal by its path. Caller disposes.</summary>
internal sealed unsafe class PseudoTerminal : IDisposable
{
    private PseudoTerminal(int master, string path)
    {
        Path = path;
        Master = new DescriptorStream(master);
    }

    /// <summary>What the program writes and reads.</summary>
    public DescriptorStream Master { get; }

    /// <summary>"/dev/pts/N"</summary>
    public string Path { get; }

    /// <exception cref="IOException">The machine has no pseudo-terminal left.</exception>
    public static PseudoTerminal Open(LocalUser user)
    {
        var master = Posix.OpenPseudoTerminal(Posix.O_RDWR | Posix.O_NOCTTY | Posix.O_CLOEXEC);
        if (master < 0)
            throw new IOException($"no pseudo-terminal: {Posix.LastError()}");
        const int MaximumPath = 128;
        var name = stackalloc byte[MaximumPath];
        if (Posix.GrantPseudoTerminal(master) < 0 || Posix.UnlockPseudoTerminal(master) < 0 || Posix.NameOfPseudoTerminal(master, name, MaximumPath) != 0)
        {
            var error = Posix.LastError();
            _ = Posix.Close(master);
            throw new IOException($"no pseudo-terminal: {error}");
        }
        var path = Encoding.UTF8.GetString(name, new ReadOnlySpan<byte>(name, MaximumPath).IndexOf((byte)0));
        if (user.Uid != LocalUser.Current.Uid)
            _ = Posix.ChangeOwner(path, user.Uid, user.Gid);
        return new PseudoTerminal(master, path);
    }

    public void Resize(uint columns, uint rows, uint pixelWidth, uint pixelHeight) =>
        _ = Posix.SetWindowSize(Master.Descriptor, Posix.TIOCSWINSZ, new Posix.WindowSize(Bounded(rows), Bounded(columns), Bounded(pixelWidth), Bounded(pixelHeight)));

    public void Dispose() => Master.Dispose();

    private static ushort Bounded(uint value) => (ushort)Math.Min(value, ushort.MaxValue);
}
