namespace Relay.Gateway.Recording;

/// <summary>What becomes of the typed bytes that were held back.</summary>
internal enum InputVerdict
{
    /// <summary>Not known yet: hold them.</summary>
    Hold = 0,

    /// <summary>Record them as typed.</summary>
    Reveal,

    /// <summary>Record that something was typed, not what.</summary>
    Hide,
}

/// <summary>
/// Keeps what is typed at a password prompt out of a recording. Two signs, see README.md for their limits:
/// the last output line looks like a prompt for a secret; or, on a terminal, the typed line was not echoed.
/// Not thread-safe.
/// </summary>
/// <param name="terminal">The channel has a pty: only there does a missing echo mean anything.</param>
internal sealed class InputMask(bool terminal) : IDisposable
{
    /// <summary>More typed bytes than this without any sign of an echo are hidden: nobody types that much blind but a paste.</summary>
    public const int MaxHeldBytes = 16 * 1024;

    private const int TailBytes = 160;
    private static readonly string[] s_prompts =
        ["password", "passphrase", "passcode", "passwd", "passwort", "kennwort", "mot de passe", "contrase", "verification code", "one-time", "otp", "pin", "secret", "token"];

    private readonly byte[] _tail = new byte[TailBytes];
    private readonly PooledBatch _held = new();
    private int _tailLength;
    private bool _prompted;

    /// <summary>The bytes the verdict is about; valid until <see cref="Forget"/>.</summary>
    public ReadOnlyMemory<byte> Held => _held.Written;

    /// <summary>Takes typed bytes. Call <see cref="Forget"/> after acting on a verdict other than Hold.</summary>
    public InputVerdict OnInput(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return InputVerdict.Hold;
        }

        if (_held.Length == 0)
        {
            _prompted = LooksLikePrompt();
        }

        data.CopyTo(_held.GetSpan(data.Length));
        _held.Advance(data.Length);
        if (_prompted)
        {
            return data.ContainsAny(LineEnds) ? InputVerdict.Hide : Full();
        }

        return terminal ? Full() : InputVerdict.Reveal;
    }

    /// <summary>Takes output, before it is recorded: a verdict concerns what was typed before it.</summary>
    public InputVerdict OnOutput(ReadOnlySpan<byte> data)
    {
        var verdict = _held.Length == 0 || _prompted ? InputVerdict.Hold : JudgeEcho(data);
        Remember(data);
        return verdict;
    }

    /// <summary>The verdict on what is still held when the channel ends.</summary>
    public InputVerdict OnEnd() => _held.Length == 0 ? InputVerdict.Hold : HasText(_held.Written.Span) ? InputVerdict.Hide : InputVerdict.Reveal;

    public void Forget()
    {
        _held.Dispose();
        _prompted = false;
    }

    public void Dispose() => _held.Dispose();

    private static ReadOnlySpan<byte> LineEnds => "\r\n\u0003\u0004"u8;

    private InputVerdict Full() => _held.Length > MaxHeldBytes ? InputVerdict.Hide : InputVerdict.Hold;

    // An echo, or a screen that answers a key, shows before the next line break; a password reader prints only the break (or stars).
    private InputVerdict JudgeEcho(ReadOnlySpan<byte> output)
    {
        foreach (var b in output)
        {
            switch (b)
            {
                case (byte)'\n':
                    return HasText(_held.Written.Span) ? InputVerdict.Hide : InputVerdict.Reveal;
                case (byte)'\r' or (byte)' ' or (byte)'*' or 0x07 or 0x08:
                    continue;
                default:
                    return InputVerdict.Reveal;
            }
        }

        return InputVerdict.Hold;
    }

    private static bool HasText(ReadOnlySpan<byte> typed)
    {
        foreach (var b in typed)
        {
            if (b > 0x20 && b != 0x7f)
            {
                return true;
            }
        }

        return false;
    }

    private void Remember(ReadOnlySpan<byte> output)
    {
        var lineBreak = output.LastIndexOf((byte)'\n');
        if (lineBreak >= 0)
        {
            output = output[(lineBreak + 1)..];
            _tailLength = 0;
        }

        if (output.Length >= TailBytes)
        {
            output = output[^TailBytes..];
            _tailLength = 0;
        }

        var overflow = _tailLength + output.Length - TailBytes;
        if (overflow > 0)
        {
            _tail.AsSpan(overflow, _tailLength - overflow).CopyTo(_tail);
            _tailLength -= overflow;
        }

        output.CopyTo(_tail.AsSpan(_tailLength));
        _tailLength += output.Length;
    }

    private bool LooksLikePrompt()
    {
        Span<char> text = stackalloc char[TailBytes];
        var length = 0;
        var inEscape = false;
        foreach (var b in _tail.AsSpan(0, _tailLength))
        {
            if (inEscape)
            {
                // CSI ends with a byte 0x40..0x7e other than its introducer '['.
                inEscape = b is (byte)'[' or < 0x40 or > 0x7e;
            }
            else if (b == 0x1b)
            {
                inEscape = true;
            }
            else
            {
                text[length++] = (char)b;
            }
        }

        var line = ((ReadOnlySpan<char>)text[..length]).TrimEnd();
        if (line.IsEmpty || line[^1] is not (':' or '?' or '>' or ']'))
        {
            return false;
        }

        foreach (var word in s_prompts)
        {
            if (line.Contains(word, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }
}
