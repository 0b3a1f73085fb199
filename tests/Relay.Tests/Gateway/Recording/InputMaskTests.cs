using System.Text;
using Relay.Gateway.Recording;

namespace Relay.Tests.Gateway.Recording;

public sealed class InputMaskTests
{
    // A dialogue: "<" output, ">" input; what is recorded as input is compared.
    [Theory]
    [InlineData("[hidden]", "<[sudo] password for ann: ", ">hunter2\r")]
    [InlineData("[hidden]", "<Password:", ">hun", ">ter2", ">\r")]
    [InlineData("[hidden]", "<\u001b[1mEnter passphrase for key '/x':\u001b[0m ", ">hunter2\r")]
    [InlineData("[hidden]", "<Verification code: ", ">123456\r")]
    [InlineData("[hidden]", "<$ cat\r\nPassword: ", ">abc\u0003")]
    [InlineData("ls\r", "<$ ", ">l", "<l", ">s", "<s", ">\r", "<\r\nfile\r\n")]
    [InlineData("ls\r", "<$ ", ">ls\r", "<ls\r\nfile\r\n")]
    [InlineData("[hidden]", "<$ ", ">hunter2\r", "<\r\n$ ")]
    [InlineData("[hidden]", "<Geheimnis\r\n", ">hunter2", ">\r", "<\r\nok")]
    [InlineData("[hidden]", "<pwfeedback ", ">hu", "<**", ">n\r", "<*\r\n")]
    [InlineData("\r", "<$ ", ">\r", "<\r\n$ ")]
    [InlineData("j", "<vim", ">j", "<\u001b[2;1H")]
    public void Secrets_are_hidden_and_the_rest_is_not(string recorded, params string[] dialogue) => Assert.Equal(recorded, Run(terminal: true, dialogue));

    [Theory]
    [InlineData("data\n", ">data\n")]
    [InlineData("[hidden]", "<[sudo] password for ann: ", ">hunter2\n")]
    public void Without_a_terminal_only_a_prompt_hides(string recorded, params string[] dialogue) => Assert.Equal(recorded, Run(terminal: false, dialogue));

    [Fact]
    public void After_the_hidden_line_input_is_recorded_again() =>
        Assert.Equal("[hidden]id\r", Run(terminal: true, ["<Password: ", ">secret\r", "<\r\n$ ", ">id\r", "<id\r\nuid=0\r\n"]));

    [Fact]
    public void What_is_held_is_bounded()
    {
        using var mask = new InputMask(terminal: true);
        var verdict = InputVerdict.Hold;
        var held = 0;
        while (verdict == InputVerdict.Hold)
        {
            verdict = mask.OnInput(new byte[1000]);
            held += 1000;
        }

        Assert.Equal(InputVerdict.Hide, verdict);
        Assert.InRange(held, InputMask.MaxHeldBytes, InputMask.MaxHeldBytes + 2000);
    }

    private static string Run(bool terminal, string[] dialogue)
    {
        using var mask = new InputMask(terminal);
        var recorded = new StringBuilder();
        foreach (var line in dialogue)
        {
            var bytes = Encoding.UTF8.GetBytes(line[1..]);
            Settle(mask, line[0] == '<' ? mask.OnOutput(bytes) : mask.OnInput(bytes), recorded);
        }

        Settle(mask, mask.OnEnd(), recorded);
        return recorded.ToString();
    }

    private static void Settle(InputMask mask, InputVerdict verdict, StringBuilder recorded)
    {
        if (verdict == InputVerdict.Hold)
        {
            return;
        }

        recorded.Append(verdict == InputVerdict.Hide ? "[hidden]" : Encoding.UTF8.GetString(mask.Held.Span));
        mask.Forget();
    }
}
