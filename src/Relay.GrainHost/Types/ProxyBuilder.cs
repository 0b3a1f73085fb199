using System.Reflection;
using System.Reflection.Emit;
using Orleans.Runtime;
using Relay.GrainHost.Calls;

namespace Relay.GrainHost.Types;

/// <summary>
/// Makes, at run time, the class behind a reference: each method packs its parameters into a value tuple and hands it, with
/// the method's description from a static field, to a method of <see cref="GrainReference"/>.
/// </summary>
internal sealed class ProxyBuilder
{
    private readonly ModuleBuilder _module;
    private readonly AssemblyBuilder _assembly;
    private readonly HashSet<string> _accessed = [];
    private int _count;

    public ProxyBuilder()
    {
        _assembly = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("Relay.GrainHost.Proxies"), AssemblyBuilderAccess.Run);
        _module = _assembly.DefineDynamicModule("Relay.GrainHost.Proxies");
        AllowInternals(typeof(GrainReference).Assembly);
    }

    public Func<CallTarget, GrainReference> Build(Type type, IReadOnlyList<(MethodInfo Declared, GrainMethod Method)> methods)
    {
        AllowInternals(type.Assembly);
        foreach (var parameterType in methods.SelectMany(m => m.Declared.GetParameters()).Select(p => p.ParameterType)) AllowInternals(parameterType.Assembly);
        var proxy = _module.DefineType($"Proxy{++_count}_{type.Name}", TypeAttributes.Public | TypeAttributes.Sealed, typeof(GrainReference), [type]);
        DefineConstructor(proxy);
        for (var i = 0; i < methods.Count; i++) DefineMethod(proxy, methods[i].Declared, methods[i].Method, i);
        var made = proxy.CreateType();
        for (var i = 0; i < methods.Count; i++) made.GetField($"Method{i}")!.SetValue(null, methods[i].Method);
        var target = System.Linq.Expressions.Expression.Parameter(typeof(CallTarget));
        return System.Linq.Expressions.Expression.Lambda<Func<CallTarget, GrainReference>>(
            System.Linq.Expressions.Expression.New(made.GetConstructor([typeof(CallTarget)])!, target), target).Compile();
    }

    private static ConstructorInfo BaseConstructor => typeof(GrainReference).GetConstructor(BindingFlags.Instance | BindingFlags.NonPublic, [typeof(CallTarget)])!;

    private static void DefineConstructor(TypeBuilder proxy)
    {
        var il = proxy.DefineConstructor(MethodAttributes.Public, CallingConventions.Standard, [typeof(CallTarget)]).GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldarg_1);
        il.Emit(OpCodes.Call, BaseConstructor);
        il.Emit(OpCodes.Ret);
    }

    private static void DefineMethod(TypeBuilder proxy, MethodInfo declared, GrainMethod method, int index)
    {
        var field = proxy.DefineField($"Method{index}", method.GetType(), FieldAttributes.Public | FieldAttributes.Static);
        var parameters = declared.GetParameters();
        var defined = proxy.DefineMethod(
            $"{declared.DeclaringType!.Name}.{declared.Name}",
            MethodAttributes.Private | MethodAttributes.Virtual | MethodAttributes.Final | MethodAttributes.HideBySig | MethodAttributes.NewSlot,
            declared.ReturnType,
            [.. parameters.Select(p => p.ParameterType)]);
        var il = defined.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldsfld, field);
        var tuple = method.GetType().GetGenericArguments()[0];
        for (var i = 0; i < parameters.Length; i++)
        {
            if (!MethodBuilding.IsToken(parameters[i])) il.Emit(OpCodes.Ldarg, (short)(i + 1));
        }

        if (tuple == typeof(ValueTuple)) EmitDefault(il, tuple);
        else il.Emit(OpCodes.Newobj, tuple.GetConstructors().Single());
        var token = Array.FindIndex(parameters, MethodBuilding.IsToken);
        if (token >= 0) il.Emit(OpCodes.Ldarg, (short)(token + 1));
        else EmitDefault(il, typeof(CancellationToken));
        il.Emit(OpCodes.Call, CallerFor(declared.ReturnType).MakeGenericMethod(method.GetType().GetGenericArguments()));
        il.Emit(OpCodes.Ret);
        proxy.DefineMethodOverride(defined, declared);
    }

    private static MethodInfo CallerFor(Type returns)
    {
        var name = returns == typeof(void) ? nameof(GrainReference.Send)
            : returns == typeof(ValueTask) ? nameof(GrainReference.CallValueWithoutResult)
            : returns.IsGenericType && returns.GetGenericTypeDefinition() == typeof(ValueTask<>) ? nameof(GrainReference.CallValue)
            : nameof(GrainReference.Call);
        return typeof(GrainReference).GetMethod(name, BindingFlags.Instance | BindingFlags.NonPublic)!;
    }

    private static void EmitDefault(ILGenerator il, Type type)
    {
        var local = il.DeclareLocal(type);
        il.Emit(OpCodes.Ldloca, local);
        il.Emit(OpCodes.Initobj, type);
        il.Emit(OpCodes.Ldloc, local);
    }

    /// <summary>Grain interfaces are often internal; the runtime lets an assembly past that when it says so by this attribute's name.</summary>
    private void AllowInternals(Assembly assembly)
    {
        var name = assembly.GetName().Name!;
        if (!_accessed.Add(name)) return;
        var constructor = typeof(System.Runtime.CompilerServices.IgnoresAccessChecksToAttribute).GetConstructor([typeof(string)])!;
        _assembly.SetCustomAttribute(new CustomAttributeBuilder(constructor, [name]));
    }
}
